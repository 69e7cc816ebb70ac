"""The commands with the bundle and the embedder that come with rarec."""

import json
from pathlib import Path

from typer.testing import CliRunner

from rarec.cli.app import app
from rarec.types import Item

runner = CliRunner()


def test_a_store_with_the_defaults_answers(tmp_path: Path, small_catalogue: tuple[Item, ...]) -> None:
    rows = [{"id": i.id, "title": i.title, "year": i.year, "text": i.text, **i.attributes} for i in small_catalogue]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    store = str(tmp_path / "store")
    for words in (
        ["init", store, "--layout", "film"],
        ["import", str(tmp_path / "items.jsonl"), "--store", store],
        ["doctor", "--store", store],
    ):
        result = runner.invoke(app, words)
        assert result.exit_code == 0, result.output
    result = runner.invoke(app, ["recommend", "A comedy, please", "--store", store, "-n", "4", "--json"])
    answer = json.loads(result.stdout)
    assert not answer["degraded"]
    assert answer["model"] == "local-ranker"
    assert len(answer["items"]) == 4
