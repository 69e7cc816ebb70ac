"""docs/alignment.md: its tables are those of the committed figures, and its map leads somewhere."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from scripts import load_script

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "alignment.md"


def test_the_tables_are_those_of_the_committed_figures() -> None:
    module = load_script("docs/generate_alignment.py")
    text = PAGE.read_text(encoding="utf-8")
    assert module.replaced(text, module.tables(module.figures())) == text, "run: python docs/generate_alignment.py"


def test_the_map_names_functions_and_tests_that_exist() -> None:
    rows = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and "`rarec." in line
    ]
    assert len(rows) >= 12
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/test_*.py"))
    for row in rows:
        (function,) = re.findall(r"`(rarec\.[\w.]+)`", row)
        module, name = function.rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module), name))
        (test,) = re.findall(r"`(test_\w+)`", row)
        assert f"def {test}(" in tests


def test_the_study_can_be_read_and_names_every_run_once(tmp_path: Path) -> None:
    folder = ROOT / "recipes" / "alignment"
    study = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8"))
    runs = load_script(str(folder / "study.py")).runs_of(study, tmp_path)
    assert len({run.folder for run in runs}) == len(runs)
    main = [run for run in runs if not run.variant]
    assert len(main) == len(study["seeds"]) * len(study["judges"]) * len(study["learners"])
    assert {run.recipe.data.report for run in runs} == {"test_a"}
    assert {run.recipe.data.tuning for run in runs} == {"valid"}
    asked = {(run.recipe.loop.iterations, run.recipe.loop.batch, run.recipe.sets.groups) for run in main}
    assert len(asked) == 1  # the same number of calls for every learner
    assert {run.recipe.sets.n for run in runs if run.variant} == {10, 20}


def test_what_is_merged_goes_table_by_table() -> None:
    merged = load_script("recipes/alignment/study.py").merged
    base = {"sets": {"n": 50, "groups": 2}, "data": {"name": "x"}}
    assert merged(base, {"sets": {"n": 10}}) == {"sets": {"n": 10, "groups": 2}, "data": {"name": "x"}}
    assert base["sets"] == {"n": 50, "groups": 2}


@pytest.mark.parametrize("text", ["", "no marks at all"])
def test_a_page_without_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="marks"):
        load_script("docs/generate_alignment.py").replaced(text, "new")
