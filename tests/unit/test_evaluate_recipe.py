"""What a recipe may say, and what is answered to what it may not."""

import re
from pathlib import Path
from typing import Any

import pytest

from rarec.errors import SettingsError
from rarec.evaluate import load_recipe
from rarec.evaluate.recipe import Recipe, parse_recipe
from rarec.evaluate.system_configs import FusionSystem, RankedSystem

ROOT = Path(__file__).parents[2]
SMALL = """
[[data_set]]
name = "redial"
folder = "data"
recorded_ranks = "ranks.parquet"
[[system]]
kind = "popularity"
"""


def written(folder: Path, text: str, *, name: str = "small.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def parsed(**more: Any) -> Recipe:
    values: dict[str, Any] = {"data_set": [{"name": "redial"}], "system": [{"kind": "popularity"}]}
    return parse_recipe(values | more, source="test")


def test_a_small_recipe_has_the_usual_measures_and_is_named_after_its_file(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, SMALL))
    assert recipe.run.name == "small"
    assert recipe.run.protocols == ("new-targets",)
    assert recipe.run.options().headline == "N@10"
    assert recipe.rows() == ["popularity"]


def test_paths_are_those_of_the_recipe_not_of_the_working_directory(tmp_path: Path) -> None:
    text = SMALL + '[[system]]\nkind = "file"\npath = "mine.jsonl"\n'
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.data_sets[0].folder == tmp_path / "data"
    assert recipe.data_sets[0].recorded_ranks == tmp_path / "data" / "ranks.parquet"
    assert recipe.systems[1].files() == (tmp_path / "mine.jsonl",)
    assert recipe.rows()[1] == "mine"


def test_a_data_folder_takes_the_place_of_the_recipes_but_not_of_a_folder_of_ones_own(tmp_path: Path) -> None:
    text = SMALL + '[[data_set]]\nname = "cheese"\nfolder = "cheese"\n'
    recipe = load_recipe(written(tmp_path, text), data=tmp_path / "other")
    assert [data_set.folder for data_set in recipe.data_sets] == [tmp_path / "other", tmp_path / "cheese"]
    assert recipe.data_sets[0].recorded_ranks == tmp_path / "other" / "ranks.parquet"


def test_all_mistakes_are_told_at_once_with_their_place(tmp_path: Path) -> None:
    text = """
    speed = 9
    [run]
    samples = 0
    protocols = ["new-targets", "some-targets"]
    [[data_set]]
    name = "redial"
    fold = "x"
    [[system]]
    kind = "popularity"
    [[system]]
    kind = "popularty"
    [[system]]
    kind = "ranked"
    llm = { model = "m", temperature = 9 }
    """
    with pytest.raises(SettingsError) as caught:
        load_recipe(written(tmp_path, text))
    message = str(caught.value)
    for place in (
        "small.toml",
        "speed = 9",
        "run.samples = 0",
        "unknown protocol 'some-targets'",
        "data_set 1.fold = 'x'",
        "system 2",
        "'popularty'",
        "system 3 (ranked).of",
        "temperature = 9",
    ):
        assert place in message, place
    assert "entry" not in message  # a list of wrong members is not called too short as well


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("format = 2\nnew = true", "of format 2, this version of rarec reads format 1; update rarec"),
        ("[run", "not valid TOML"),
        ("", "data_set: missing; must be one or more tables [[data_set]] with the keys name, reader"),
        (
            SMALL.partition("[[system]]")[0],
            "system: missing; must be one or more tables [[system]] with a kind",
        ),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_recipe(written(tmp_path, text))
    assert says in str(caught.value)
    with pytest.raises(SettingsError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"system": [{"kind": "popularity"}] * 2}, "named 'popularity'; give each its own name"),
        ({"data_set": [{"name": "redial"}] * 2}, "named 'redial'; give each its own name"),
        ({"system": [{"kind": "ranked", "of": "retriever"}]}, "'retriever+ranker' needs the system 'retriever'"),
        (
            {"system": [{"kind": "ranked", "of": "b", "name": "a"}, {"kind": "ranked", "of": "a", "name": "b"}]},
            "'a', 'b'] need each other in a circle",
        ),
        ({"system": [{"kind": "popularity", "only": ["cheese"]}]}, "runs only on 'cheese', which is no data set here"),
        ({"system": [{"kind": "popularity", "show": False}]}, "no system is shown"),
        ({"run": {"against": "gpt-4"}}, "cannot compare against 'gpt-4'"),
        ({"run": {"measures": ["R@200"], "headline": "R@200"}}, "look 200 places down, but depth is 100"),
        ({"run": {"measures": ["P@5"]}}, "unknown measure 'P@5'"),
        ({"run": {"seeds": [1, 1]}}, "1 comes twice"),
        ({"run": {"protocols": ["new-targets", "new-targets/seen-excluded"]}}, "'new-targets' comes twice"),
        (
            {"system": [{"kind": "fusion", "members": ["x", "y"], "method": "learned", "weights": [1, 2]}]},
            "takes no weights",
        ),
        ({"data_set": [{"name": "../up"}]}, "name"),
    ],
)
def test_what_does_not_fit_together_is_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(**more)
    assert says in str(caught.value)


def test_names_tell_what_systems_are_made_of() -> None:
    systems = [
        {"kind": "popularity"},
        {"kind": "ranked", "of": "popularity"},
        {"kind": "ranked", "of": "popularity", "llm": {"model": "m:7b"}},
        {"kind": "llm-alone", "llm": {"model": "m:7b"}},
        {"kind": "recorded", "model": "gpt-4", "prompt": "p2"},
        {"kind": "recorded", "model": "gpt-4", "form": "lists"},
        {"kind": "fusion", "members": ["popularity", "gpt-4/p2"]},
        {"kind": "embedding-similarity", "variant": "text"},
    ]
    recipe = parsed(system=systems)
    assert recipe.rows() == [
        "popularity",
        "popularity+ranker",
        "popularity+m:7b",
        "m:7b alone",
        "gpt-4/p2",
        "gpt-4 (lists)",
        "popularity + gpt-4/p2 (rrf)",
        "embedding-similarity/text",
    ]
    assert isinstance(recipe.systems[1], RankedSystem)
    assert recipe.systems[1].bundled()
    assert not recipe.systems[2].bundled()
    assert isinstance(recipe.systems[6], FusionSystem)
    assert recipe.systems[6].needs() == ("popularity", "gpt-4/p2")


def test_the_resolved_recipe_reads_back_the_same() -> None:
    recipe = parsed(run={"name": "x", "seeds": [3, 4]}, system=[{"kind": "random"}, {"kind": "ranked", "of": "random"}])
    assert parse_recipe(recipe.document(), source="again") == recipe


RECIPES = [path for path in sorted((ROOT / "recipes").glob("*.toml")) if "[[system]]" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_recipes_that_come_with_rarec_are_valid(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.run.name == path.stem
    assert len(recipe.systems) > 1


def test_there_are_two() -> None:
    assert {path.name for path in RECIPES} >= {"bench.toml", "own_data.toml"}


def test_the_recipe_of_the_page_is_the_one_for_your_own_data_and_has_every_kind_of_row(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert text == (ROOT / "recipes" / "own_data.toml").read_text(encoding="utf-8")
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.rows() == [
        "popularity", "bm25", "item-knn", "retriever", "retriever+gpt-4o-mini", "gpt-4o-mini alone", "my_system",
    ]  # fmt: skip
    assert recipe.run.against == "popularity"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"run": {"protocls": []}}, "unknown key; did you mean 'protocols'? The keys here are name, seed"),
        ({"dataset": 1}, "dataset = 1: unknown key; did you mean 'data_set'? The keys here are format, run"),
        ({"data_set": [{"name": "x", "zzz": 1}]}, "unknown key. The keys here are name, reader, folder"),
        ({"system": [{"kind": "rankd"}]}, "system 1.kind = 'rankd': must be one of popularity, random, "),
        ({"system": [{"kind": "rankd"}]}, "custom; did you mean 'ranked'?"),
        ({"system": [{"name": "x"}]}, "system 1.kind: missing; must be one of popularity"),
        (
            {"system": [{"kind": "bm25", "last_message": 1}]},
            "did you mean 'last_messages'? The keys of bm25 are name, only",
        ),
        (
            {"system": [{"kind": "ranked", "of": "x", "llm": "lokal"}]},
            "system 1 (ranked).llm = 'lokal': must be local, or a table with the keys model, base_url",
        ),
        (
            {"system": [{"kind": "ranked", "of": "x", "llm": {"modle": "m"}}]},
            "system 1 (ranked).llm.modle = 'm': unknown key; did you mean 'model'? The keys here are model, base_url",
        ),
        (
            {"system": [{"kind": "llm-alone", "llm": {"model": "m", "prices": {"in": 1}}}]},
            "system 1 (llm-alone).llm.prices.in = 1: unknown key",
        ),
        ({"run": {"measures": ["P@5", "Q"], "samples": 0}}, "unknown measure 'Q'"),
        ({"run": {"measures": ["P@5", "Q"], "samples": 0}}, "run.samples = 0"),
        ({"run": {"protocols": ["all", "some"]}}, "unknown protocol 'some'"),
    ],
)
def test_a_mistake_is_told_with_what_may_stand_there(more: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(**more)
    assert says in str(caught.value)


def test_a_wrong_table_of_a_language_model_is_not_called_no_word() -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(system=[{"kind": "ranked", "of": "x", "llm": {"model": "m", "temperature": 9}}])
    message = str(caught.value)
    assert "system 1 (ranked).llm.temperature = 9" in message
    assert "local" not in message
    assert len(message.splitlines()) == 2
