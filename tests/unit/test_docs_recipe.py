"""The references of recipes are those of the classes, and the recipe on the page of alignment is one."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from rarec.align.learners import LEARNERS
from rarec.align.settings import LoopSettings
from rarec.alignment.recipe import AlignRecipe, load_align_recipe, parse_align_recipe
from rarec.catalogue.text import Layout, LayoutLine
from rarec.complaints import models_in
from rarec.corpus.recipe import FieldConfig, ResolveConfig, load_corpus_recipe, parse_corpus_recipe
from rarec.corpus.sources.config import Address
from rarec.corpus.sources.table import TableColumns, TableSource
from rarec.errors import SettingsError
from rarec.reward import REWARDS
from rarec.testing.judges import PRESETS
from scripts import load_script

ROOT = Path(__file__).parents[2]
ALIGNMENT = ROOT / "docs" / "align_recipe.md"
JUDGES = ("local", "simulated", "endpoint", "recorded", "people")


def test_no_reference_is_stale() -> None:
    pages = load_script("docs/generate_recipe.py").documents()
    assert sorted(path.name for path in pages) == ["align_recipe.md", "corpus_recipe.md", "recipe.md"]
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is stale; run: python docs/generate_recipe.py"


def test_every_key_has_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_script("docs/generate_recipe.py")
    assert module.undocumented() == []
    monkeypatch.setattr(LoopSettings, "__doc__", "How it runs.\n\nAttributes:\n    batch, warmup: said.\n")
    told = module.undocumented()
    assert "LoopSettings.iterations" in told
    assert not {"LoopSettings.batch", "LoopSettings.warmup"} & set(told)


def test_the_page_of_evaluation_has_its_kinds() -> None:
    page = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    for kind in ("popularity", "ranked", "llm-alone", "file", "fusion"):
        assert f'kind = "{kind}"' in page


def tables(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield inner
            yield from tables(inner)


def keys(model: type[BaseModel]) -> list[str]:
    """Without the one that chooses the class, which the heading has, and the loop's seed, which seeds sets."""
    return [
        name
        for name, field in model.model_fields.items()
        if not (get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1)
        and (model, name) != (LoopSettings, "seed")
    ]


def test_the_page_of_alignment_has_every_learner_judge_preset_and_reward() -> None:
    page = ALIGNMENT.read_text(encoding="utf-8")
    sections = re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert [name for name in LEARNERS if f'[learner] name = "{name}"' not in sections] == []
    assert [kind for kind in JUDGES if f'[judge] kind = "{kind}"' not in sections] == []
    assert [name for name in PRESETS if f"\n| `{name}` |" not in page] == []
    assert [name for name in REWARDS if f"\n| `{name}@k` |" not in page] == []


def test_the_page_of_alignment_has_every_key_of_every_table_once() -> None:
    wanted = ["name", "bundle", "seeds"]
    for model in dict.fromkeys(tables(AlignRecipe)):
        wanted += keys(model)
    found = re.findall(r"^\| `(\w+)` \| .* \| .* \| .+ \|$", ALIGNMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(found) == sorted(wanted)


def smallest() -> str:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", ALIGNMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(text)


def test_the_smallest_recipe_of_the_page_is_one_and_not_smaller_without_a_line(tmp_path: Path) -> None:
    path = tmp_path / "recipes" / "small.toml"
    path.parent.mkdir()
    path.write_text(smallest(), encoding="utf-8")
    recipe = load_align_recipe(path)
    assert (recipe.judge.kind, recipe.learner.name, recipe.data.folder) == ("local", "ca-pg", tmp_path / "my-data")
    for table, key in (("data", "name"), ("judge", "kind")):
        values = tomllib.loads(smallest())
        del values[table][key]
        with pytest.raises(SettingsError, match=table):
            parse_align_recipe(values, source="test")


def test_the_page_of_a_corpus_has_a_recipe_a_layout_and_every_key() -> None:
    page = (ROOT / "docs" / "corpus_recipe.md").read_text(encoding="utf-8")
    recipe, layout = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert parse_corpus_recipe(tomllib.loads(recipe), source="docs").resolve.year_slack == 0
    assert Layout.model_validate(tomllib.loads(layout)).max_tokens == 256
    found = re.findall(r"^\| `(\w+)` \| .* \| .* \| .+ \|$", page, re.MULTILINE)
    wanted = ["name", "ids", "on_bad", "folder", "popularity"]
    for model in (TableSource, TableColumns, Address, ResolveConfig, FieldConfig, Layout, LayoutLine):
        wanted += ["from" if name == "sources" else name for name in keys(model)]
    assert sorted(found) == sorted(wanted)


def test_the_page_of_a_corpus_invents_dumps_by_one_command(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "corpus.md").read_text(encoding="utf-8")
    (code,) = re.findall(r'^python -c "(.*)"$', page, re.MULTILINE)
    subprocess.run([sys.executable, "-c", code.replace("3000", "30")], cwd=tmp_path, check=True)
    assert load_corpus_recipe(tmp_path / "film-dumps" / "recipe.toml").sources
