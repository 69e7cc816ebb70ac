"""`rarec corpus fetch` against a real server on loopback."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rarec.cli.app import app

runner = CliRunner()
FILES = {
    "/d/movies.csv": b"movieId,title,genres\n1,Lamp (1990),Drama\n" * 5000,
    "/d/links.csv": b"movieId,imdbId,tmdbId\n",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that has the files, and what was asked of it: path and range."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked: list[str] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held = self.headers.get("Range", "")
            asked.append(f"{self.path} {held}".strip())
            start = int(held[6:-1]) if held else 0
            content = FILES[self.path]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:])

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def recipe(folder: Path, address: str, hashes: dict[str, str] | None = None) -> Path:
    path = folder / "recipe.toml"
    urls = []
    for where, content in FILES.items():
        name = Path(where).stem
        sha256 = (hashes or {}).get(name) or hashlib.sha256(content).hexdigest()
        urls.append(f'{name} = {{ url = "{address}{where}", sha256 = "{sha256}" }}')
    path.write_text(
        f'folder = "dumps"\n[[sources]]\nname = "ml"\nkind = "movielens"\n[sources.urls]\n{chr(10).join(urls)}\n'
    )
    return path


def fetch(*words: str | Path) -> Any:
    return runner.invoke(app, ["corpus", "fetch", *map(str, words)])


def test_files_are_downloaded_checked_and_not_twice(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    address, asked = server
    path = recipe(tmp_path, address)
    planned = fetch(path, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert f"{address}/d/movies.csv" in planned.stdout
    assert (asked, (tmp_path / "dumps").exists()) == ([], False)
    done = fetch(path)
    assert done.exit_code == 0, done.output
    assert "2 files are there" in done.stdout
    assert (tmp_path / "dumps" / "movies.csv").read_bytes() == FILES["/d/movies.csv"]
    again = fetch(path, "--source", "ml")
    assert again.stdout.count("it was there already") == 2
    assert len(asked) == 2


def test_what_came_before_is_continued(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    address, asked = server
    path, held = recipe(tmp_path, address), tmp_path / "held"
    held.mkdir()
    content = FILES["/d/movies.csv"]
    (held / "movies.csv.part").write_bytes(content[:1000])
    origin = f'{{"url": "{address}/d/movies.csv", "validator": "\\"1\\""}}'
    (held / "movies.csv.part.json").write_text(origin)
    done = fetch(path, "--folder", held)
    assert done.exit_code == 0, done.output
    assert asked[0] == "/d/movies.csv bytes=1000-"
    assert (held / "movies.csv").read_bytes() == content


def test_a_file_with_another_hash_is_not_kept(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    path = recipe(tmp_path, server[0], {"links": "0" * 64})
    done = fetch(path)
    assert done.exit_code == 2
    assert "0" * 64 in done.stderr
    assert sorted(file.name for file in (tmp_path / "dumps").iterdir()) == ["movies.csv"]


def test_a_recipe_without_addresses_and_a_source_that_is_not_there_are_told(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[[sources]]\nname = "m"\nkind = "merged"\nfiles = { movies = "movies.parquet" }\n')
    assert "no file of the recipe has an address" in fetch(path).stderr
    assert "no source 'x'; it has m" in fetch(path, "--source", "x").stderr
    assert fetch(tmp_path / "none.toml").exit_code == 2
    assert "Example: rarec corpus fetch" in runner.invoke(app, ["corpus", "fetch", "--help"]).stdout
