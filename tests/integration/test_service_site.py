"""How the files of the pages are served, and that the committed build is of the committed sources."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.service.site import FOLDER, PAGES
from serving import Running, running

WEB = Path(__file__).parents[2] / "web"


@pytest.fixture
def served(make_store: Callable[[str], Path]) -> Iterator[Running]:
    with (
        Recommender.open(make_store("shop"), flags={"llm.kind": "none"}) as recommender,
        running(create_app(recommender)) as live,
    ):
        yield live


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_files_are_kept_by_their_tag_and_hold_to_a_policy(served: Running) -> None:
    for path in (*PAGES, "/web/chat.js", "/web/admin.js", "/web/style.css"):
        check_file(served, path)


def check_file(served: Running, path: str) -> None:
    answer = served.ask("GET", path)
    assert answer.status == 200
    assert "text/" in answer.headers["content-type"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    tag = answer.headers["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = served.ask("GET", path, headers={"If-None-Match": known})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == tag
    assert served.ask("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    head = served.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_nothing_else_is_served(served: Running) -> None:
    for name in ("none.js", "manifest.json", "..%2Fsite.py", "%2e%2e/site.py", "../site.py", ""):
        served.ask("GET", f"/web/{name}").problem(404)


def test_pages_name_only_files_that_are_there() -> None:
    for name in PAGES.values():
        html = (FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", html)
        for link in re.findall(r'(?:src|href)="([^"]*)"', html):
            assert link == "/docs" or (link.startswith("/web/") and (FOLDER / link.removeprefix("/web/")).is_file())


def test_the_committed_build_is_of_the_committed_sources() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_bytes())
    names = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json"]
    names += [f"src/{path.name}" for path in (WEB / "src").iterdir()]
    lines = "".join(f"{sha256((WEB / name).read_bytes())}  {name}\n" for name in sorted(names))
    assert manifest["sources"] == sha256(lines.encode()), "web/ has changed: make web"
    built = {path.name: sha256(path.read_bytes()) for path in FOLDER.iterdir() if path.name != "manifest.json"}
    assert built == manifest["files"], "a built file was changed by hand: make web"


def test_nothing_bundled_is_without_its_licence_and_nothing_comes_from_a_private_place() -> None:
    package = json.loads((WEB / "package.json").read_bytes())
    text = (FOLDER / "LICENSES.txt").read_text(encoding="utf-8")
    for name, version in package["dependencies"].items():
        assert f"{name} {version}\n" in text
    for version in (package["dependencies"] | package["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), "versions are exact"
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock, "where packages were fetched from is nobody's business"


def test_the_pages_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 250_000
