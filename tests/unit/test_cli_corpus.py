"""`rarec corpus build` and `rarec corpus explain`."""

import gzip
import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpus_files import SHOP, write_world
from rarec.cli.app import app
from rarec.corpus import build as build_module

runner = CliRunner(env={"COLUMNS": "250"})


def test_build_then_explain(tmp_path: Path) -> None:
    recipe, out = write_world(tmp_path / "dumps", shop=[*SHOP, {"sku": "s1", "name": "Again"}]), tmp_path / "books"
    done = runner.invoke(app, ["corpus", "build", str(recipe), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert f"{out}: 5 items of 7 records." in done.stdout
    assert "the same id" in done.stdout
    assert "ids differ" in done.stdout
    assert "library: library.csv" in done.stderr
    done = runner.invoke(app, ["corpus", "explain", "isbn-i1", "--corpus", str(out)])
    assert done.exit_code == 0
    assert "shop:s1 and library:1 'Harbour, Grey' (1990, in isbn-i1): the same id: isbn" in done.stdout
    done = runner.invoke(app, ["corpus", "explain", "i9", "--corpus", str(out)])
    assert "i9 is its id at isbn." in done.stdout
    assert "Kept apart because" in done.stdout


def test_what_was_wrong_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = {"sku": "s9", "name": "Nul\0byte"}
    recipe, out = write_world(tmp_path / "dumps", shop=[*SHOP, bad]), tmp_path / "books"
    (tmp_path / "dumps" / "library.csv").write_text("no,such,columns\n1,2,3\n", encoding="utf-8")
    done = runner.invoke(app, ["corpus", "build", str(recipe), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "library: library.csv:1: has no column" in done.stderr
    assert "1 file could not be read to its end; 1 row was left out: all in" in done.stderr
    assert f"shop: shop.jsonl:{len(SHOP) + 1}: " in done.stderr
    told = [json.loads(line) for line in (out / "problems.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(one["source"], one["fatal"]) for one in told] == [("shop", False), ("library", True)]
    assert done.stderr.splitlines()[-1].startswith(
        "NOT WHOLE: library was read not at all. rarec corpus update refuses"
    )
    assert "Next:" not in done.stdout
    sources = json.loads((out / "corpus.json").read_text(encoding="utf-8"))["sources"]
    assert {name: source["read"] for name, source in sources.items()} == {"shop": "whole", "library": "not at all"}


def test_a_file_that_is_cut_is_read_in_part(tmp_path: Path) -> None:
    recipe, out = write_world(tmp_path / "dumps"), tmp_path / "books"
    rows = "".join(f"{random.Random(number).random()},T,1990,A,,\n" for number in range(20_000)).encode()
    whole = gzip.compress(b"no,title,year,author,isbn,kind\n" + rows, mtime=0)
    (tmp_path / "dumps" / "library.csv.gz").write_bytes(whole[: len(whole) // 2])
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("library.csv", "library.csv.gz"), encoding="utf-8")
    done = runner.invoke(app, ["corpus", "build", str(recipe), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "NOT WHOLE: library was read in part." in done.stderr
    assert "The source library was read in part" in runner.invoke(app, ["corpus", "report", str(out)]).stderr


def test_dumps_may_lie_elsewhere_than_the_recipe(tmp_path: Path) -> None:
    recipe, out = write_world(tmp_path / "dumps"), tmp_path / "books"
    moved = recipe.rename(tmp_path / recipe.name)
    assert runner.invoke(app, ["corpus", "build", str(moved), "--out", str(out)]).exit_code == 2
    done = runner.invoke(app, ["corpus", "build", str(moved), "--folder", str(tmp_path / "dumps"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert (out / "items.parquet").is_file()


def test_scripts_get_json(tmp_path: Path) -> None:
    recipe, out = write_world(tmp_path / "dumps"), tmp_path / "books"
    done = runner.invoke(app, ["corpus", "build", str(recipe), "--out", str(out), "--json"])
    assert json.loads(done.stdout)["counts"]["items"] == 5
    done = runner.invoke(app, ["corpus", "explain", "isbn-i1", "--corpus", str(out), "--json"])
    found = json.loads(done.stdout)
    assert found["unions"][0]["reason"] == "same_id"
    assert found["fields"]["text"][0]["key"] == "s1"


def test_errors_are_one_paragraph(tmp_path: Path) -> None:
    recipe = write_world(tmp_path / "dumps")
    for arguments, code, text in (
        (["build", str(recipe), "--out", str(tmp_path)], 2, "is there already"),
        (["build", str(tmp_path / "no.toml"), "--out", str(tmp_path / "x")], 2, "no.toml"),
        (["explain", "x", "--corpus", str(tmp_path)], 3, "no corpus"),
    ):
        done = runner.invoke(app, ["corpus", *arguments])
        assert done.exit_code == code
        assert text in done.stderr
        assert "Traceback" not in done.stderr


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, out = write_world(tmp_path / "dumps"), tmp_path / "books"

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(build_module, "write_corpus", stopped)
        done = runner.invoke(app, ["corpus", "build", str(recipe), "--out", str(out)])
    assert done.exit_code == 130
    assert "run the same command again" in done.stderr
    assert not out.exists()
    done = runner.invoke(app, ["corpus", "build", str(recipe), "--out", str(out)])
    assert done.exit_code == 0
    assert "before" in done.stdout


@pytest.mark.parametrize("name", ["build", "explain"])
def test_help_has_an_example(name: str) -> None:
    text = runner.invoke(app, ["corpus", name, "--help"]).stdout
    assert f"Example: rarec corpus {name}" in text


def test_ids_that_many_things_share_are_told(tmp_path: Path) -> None:
    rows = [{"sku": f"s{number}", "name": f"Jam {number}", "isbn": "978-1"} for number in range(6)]
    recipe, out = write_world(tmp_path / "dumps", shop=rows), tmp_path / "books"
    done = runner.invoke(app, ["corpus", "build", str(recipe), "--out", str(out)])
    assert "that were taken for none: isbn 978-1" in done.stderr
    assert "the id is said of several things that differ" in done.stdout
    done = runner.invoke(app, ["corpus", "report", str(out)])
    assert "taken for none: isbn 978-1" in done.stderr
