"""Recipes of alignment: wrong ones are refused with all that is wrong, and two that differ are two runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from rarec.alignment.recipe import PeopleJudge, check_files, load_align_recipe, parse_align_recipe
from rarec.errors import SettingsError
from rarec.prompt import PromptTemplate

GOOD: dict[str, Any] = {
    "data": {"name": "jsonl", "folder": "x"},
    "judge": {"kind": "simulated", "preset": "era-lover"},
}
RECIPES = Path(__file__).parents[2] / "recipes"


def parse(**more: Any) -> Any:
    return parse_align_recipe({**GOOD, **more}, source="r.toml")


@pytest.mark.parametrize("name", ["align_inspired.toml", "align_own.toml", "align_people.toml"])
def test_the_committed_recipes_can_be_read(name: str) -> None:
    recipe = load_align_recipe(RECIPES / name)
    assert recipe.name == name.removesuffix(".toml")
    assert recipe.data.folder.is_absolute()


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(
            learner={"name": "grpo", "clip": -1, "beta": 3},
            data={"name": "redial", "tuning": "test_a", "colour": 1},
            reward={"ndgc@10": 1.0},
            loop={"iterations": 0},
            judge={"kind": "simulated", "preset": "nobody"},
            seeds=[1, 1],
        )
    text = str(caught.value)
    for part in ("clip", "beta", "test split", "colour", "ndgc@10", "iterations", "nobody", "era-lover", "seeds"):
        assert part in text
    assert "'r.toml'" in text


def test_a_wrong_name_of_a_learner_hides_no_other_mistake() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(learner={"name": "gppo"}, judge={"kind": "locl"}, data={"name": "x", "foldr": "y"}, sets={"n": 0})
    lines = str(caught.value).splitlines()
    assert lines[0] == "the recipe 'r.toml' has wrong values:"
    assert sorted(lines[1:]) == [
        "  data.foldr = 'y': unknown key; did you mean 'folder'? The keys here are name, folder, training, tuning, "
        "report, held_back, training_turns, tuning_turns, report_turns, sentiments, layout",
        "  judge.kind = 'locl': must be one of local, simulated, endpoint, recorded, people; did you mean 'local'?",
        "  learner.name = 'gppo': must be one of dpo, grpo, pg, ca-pg, top1-pg, mult-dpo, reward-weighted-nll, "
        "sft-longer, nll-only; did you mean 'grpo'?",
        "  sets.n = 0: must be at least 1",
    ]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"loop": {"proposal": 5}}, "sets.n = 50 is more than loop.proposal = 5, .*at most 5, or raise"),
        ({"sets": {"groups": 1}}, "set learner.centre and learner.scale to false"),
        ({"sets": {"groups": 1}, "learner": {"name": "grpo"}}, "grpo learns nothing"),
        ({"sets": {"groups": 1}, "learner": {"name": "mult-dpo"}}, "mult-dpo learns nothing"),
        ({"loop": {"seed": 3}}, "set by seeds"),
        ({"budget": {"usd": 1.0}}, "needs the prices"),
        ({"data": {"name": "x", "training": "valid"}}, "the same split"),
        ({"data": {"name": "x", "report": "valid"}}, "say nothing"),
        ({"data": {"name": "x", "held_back": 0.0}}, "held_back"),
        ({"learner": {"beta": 1}}, "learner.name: missing; must be one of dpo, grpo"),
        ({"learner": {"name": "grpo", "beta": 1}}, r"learner.beta = 1: unknown key\. The keys of grpo are lambda_nll"),
        ({"judge": {"kind": "people"}}, "judge.events: missing; it has no default"),
        (
            {"judge": {"kind": "recorded", "behind": {"kind": "x"}}},
            "judge.behind.kind = 'x': must be one of local, sim",
        ),
        ({"judge": {"kind": "endpoint", "model": "m", "api_key": "sk-1"}}, r"judge.api_key = \*\*\*: unknown key"),
        ({"sets": 3}, "sets = 3: must be a table with the keys n, groups"),
        ({"sets": {"n": "many"}}, "sets.n = 'many': must be a whole number, at least 1"),
        ({"loop": {"dropout": "perhaps"}}, "loop.dropout = 'perhaps': must be true or false"),
        ({"data": {"name": ""}}, "data.name = '': must be one word of letters"),
        ({"data": {"name": "x", "held_back": 1.5}}, "data.held_back = 1.5: must be more than 0, at most 1"),
        ({"seeds": []}, r"seeds = \[\]: must have at least 1 entry"),
        ({"seeds": [0, "a"]}, "seeds 2 = 'a': must be a whole number"),
        ({"reward": {"mrr": "x"}}, "reward.mrr = 'x': must be a number"),
        ({"embedder": {"kind": "minilmm"}}, "embedder.kind = 'minilmm': must be one of minilm, .*mean 'minilm'"),
        ({"name": [{"key": "sk-1"}]}, "name: must be text"),
        ({"format": 2}, "update rarec"),
        ({"data": {"name": "x", "tuning": ""}}, "data.tuning = '': must be text that is not empty"),
        ({"data": {"name": "x", "training": ""}}, "data.training = '': must be text that is not empty"),
        (
            {"judge": {"kind": "endpoint", "model": "m", "base_url": "localhost:8000"}},
            "judge.base_url = 'localhost:8000': must be an address up to and with /v1, such as 'http://",
        ),
        ({"judge": {"kind": "endpoint", "model": "m", "base_url": "http://[::1/v1"}}, "must be an address"),
        ({"judge": {**GOOD["judge"], "kinds": []}}, r"judge.kinds = \[\]: must have at least 1 entry"),
        ({"sets": {"temperature": math.inf}}, "sets.temperature = inf: must be a finite number, more than 0"),
        ({"loop": {"learning_rate": math.inf}}, "loop.learning_rate = inf: must be a finite number"),
        ({"learner": {"name": "dpo", "lambda_nll": math.inf}}, "learner.lambda_nll = inf: must be a finite number"),
    ],
)
def test_what_does_not_fit_together_is_refused(more: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse(**more)


PEOPLE: dict[str, Any] = {"kind": "people", "events": "events.jsonl"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"sets": {"n": 5}, "data": {"name": "x", "training_turns": 3}}, "data.training_turns, sets.n: has no meaning"),
        ({"data": {"name": "x", "report": "test", "held_back": 0.2}}, "data.report, data.held_back: has no meaning"),
        ({"reward": {"mrr": 1.0}, "budget": {"calls": 3}}, "reward, budget: has no meaning"),
        ({"learner": {"name": "ca-pg", "centre": False}}, "learner.centre: has no meaning"),
        ({"learner": {"name": "sft-longer", "watch": True}}, "learner.watch: has no meaning"),
        ({"learner": {"name": "reward-weighted-nll"}}, "a refusal is worth less"),
        ({"learner": {"name": "dpo"}, "judge": {**PEOPLE, "importance_clip": 2}}, "ca-pg and top1-pg only, not of dpo"),
        ({"judge": {**PEOPLE, "holdout": 1.0}}, "holdout"),
        ({"judge": {**PEOPLE, "eta": -1}}, "eta"),
        ({"judge": {"kind": "people"}}, "events"),
    ],
)
def test_what_has_no_meaning_with_people_is_refused(more: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse(**{"judge": PEOPLE, **more})


def test_a_recipe_for_people_is_its_own_document_and_is_not_named_by_where_the_events_lie(tmp_path: Path) -> None:
    recipe = parse(judge=PEOPLE, loop={"proposal": 3})
    assert parse_align_recipe(recipe.model_dump(mode="json"), source="again") == recipe
    assert recipe.deciding() == parse(judge={**PEOPLE, "events": "b.jsonl"}, loop={"proposal": 3}).deciding()
    assert recipe.deciding() != parse(judge={**PEOPLE, "eta": 1}, loop={"proposal": 3}).deciding()
    (tmp_path / "a.toml").write_text('[data]\nname = "x"\n[judge]\nkind = "people"\nevents = "e.jsonl"\n')
    judge = load_align_recipe(tmp_path / "a.toml").judge
    assert isinstance(judge, PeopleJudge)
    assert judge.events == tmp_path / "e.jsonl"


@pytest.mark.parametrize(
    "learner",
    [
        {"name": "ca-pg", "centre": False, "scale": False},
        {"name": "mult-dpo", "pairs": "credits"},
        {"name": "nll-only"},
        {"name": "reward-weighted-nll"},
    ],
)
def test_what_compares_no_sets_may_draw_one(learner: dict[str, Any]) -> None:
    assert parse(sets={"groups": 1}, learner=learner).sets.groups == 1


def test_what_is_no_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        load_align_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = [")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_align_recipe(tmp_path / "bad.toml")


def test_a_data_folder_takes_the_place_of_the_recipes_but_not_of_an_own_data_set(tmp_path: Path) -> None:
    text = '[data]\nname = "{}"\nfolder = "here"\n[judge]\nkind = "local"\n'
    (tmp_path / "a.toml").write_text(text.format("inspired"))
    (tmp_path / "b.toml").write_text(text.format("mine"))
    other = tmp_path / "there"
    assert load_align_recipe(tmp_path / "a.toml", data=other).data.folder == other
    assert load_align_recipe(tmp_path / "b.toml", data=other).data.folder == tmp_path / "here"


def test_only_what_decides_the_weights_names_a_run() -> None:
    same = [parse(seeds=[1]), parse(name="other"), parse(budget={"calls": 3}), parse(loop={"iterations": 7})]
    same.append(parse(data={"name": "jsonl", "folder": "y", "report_turns": 3}))
    assert all(recipe.deciding() == parse().deciding() for recipe in same)
    others = [
        parse(learner={"name": "dpo"}),
        parse(sets={"n": 20}),
        parse(loop={"learning_rate": 0.5}),
        parse(judge={"kind": "simulated", "preset": "era-lover", "seed": 1}),
        parse(reward={"recall@5": 1.0}),
    ]
    assert all(recipe.deciding() != parse().deciding() for recipe in others)


def test_a_prompt_may_be_a_file_and_what_it_holds_names_the_run(tmp_path: Path) -> None:
    packaged = PromptTemplate.load("default")
    own = tmp_path / "own.toml"
    own.write_text(f"system = {json.dumps(packaged.system)}\nuser = {json.dumps(packaged.user)}\n", encoding="utf-8")
    text = '[data]\nname = "x"\n[judge]\nkind = "local"\n[sets]\ntemplate = "own.toml"\n'
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    recipe = load_align_recipe(tmp_path / "a.toml")
    assert isinstance(recipe.rollouts(0).template, PromptTemplate)
    before = recipe.deciding()
    own.write_text(own.read_text(encoding="utf-8").replace('system = "', 'system = "Hurry. '), encoding="utf-8")
    assert recipe.deciding() != before
    own.unlink()
    with pytest.raises(SettingsError, match="cannot read the prompt template"):
        recipe.deciding()


def test_text_where_a_number_stands_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(loop={"batch": "6", "dropout": "yes"}, sets={"temperature": "1.5"})
    assert str(caught.value).splitlines()[1:] == [
        "  loop.batch = '6': is text; write it without quotation marks",
        "  loop.dropout = 'yes': is text; write it without quotation marks",
        "  sets.temperature = '1.5': is text; write it without quotation marks",
    ]


def test_the_keys_of_loop_that_are_told_are_those_that_it_takes() -> None:
    with pytest.raises(SettingsError, match=r"loop\.batc = 6: unknown key; did you mean 'batch'") as caught:
        parse(loop={"batc": 6})
    assert "judged_turns" in str(caught.value)
    assert "seed" not in str(caught.value)


def test_each_thing_that_does_not_fit_together_has_a_line() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(sets={"n": 50, "groups": 1}, loop={"proposal": 10}, budget={"usd": 1.0})
    lines = str(caught.value).splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["sets.n", "sets.groups", "budget.usd"]
    assert all(line.startswith("  ") for line in lines)


@pytest.mark.parametrize(
    ("text", "command"), [("[pretrain_loop]\nepochs = 1", "train"), ("[[system]]\nkind = 'bm25'", "evaluate")]
)
def test_a_recipe_of_another_command_is_told_as_such(tmp_path: Path, text: str, command: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(SettingsError, match=f"looks like a recipe of `rarec {command}`") as caught:
        load_align_recipe(tmp_path / "r.toml")
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_are_told_at_once_by_their_keys(tmp_path: Path) -> None:
    recipe = parse(
        data={"name": "teas", "folder": str(tmp_path / "no"), "layout": "flim"},
        judge={"kind": "recorded", "lists": str(tmp_path / "lists.jsonl")},
        sets={"template": "defautl"},
    )
    with pytest.raises(SettingsError) as caught:
        check_files(recipe)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "data.folder",
        "judge.lists",
        "data.layout",
        "sets.template",
    ]
    assert "no layout 'flim'; use 'generic' or 'film'" in lines[2]
    assert f"`rarec data invent {tmp_path / 'no'}`" in lines[0]
    check_files(parse(data={"name": "teas", "folder": str(tmp_path)}))
