"""Alignment end to end on invented board games: gone on with, replayed, refused, and worth something."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from games import ERA_LOVER, games_recipe
from rarec.align.checkpoint import digest
from rarec.align.journal import read_log
from rarec.alignment import AlignRecipe, AlignResult, Material, Resources, align, gather
from rarec.alignment.recipe import parse_align_recipe
from rarec.alignment.replaying import first_difference
from rarec.alignment.report_turns import read_report_turns
from rarec.alignment.run import plan
from rarec.catalogue import load_layout
from rarec.conversations import held_back, open_data_set, write_jsonl
from rarec.errors import BudgetExceeded, BundleError, InputError, LLMRefused, LLMUnavailable, StoreError
from rarec.llm.protocol import LLM, OnText
from rarec.ranker.model import Ranker, RankerConfig
from rarec.retriever.bundle import load_retriever, save_model, save_retriever
from rarec.retriever.data import ItemTable, conversation_data
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.tasks import FinetuneConfig, NextMention
from rarec.retriever.trainer import TrainerConfig, train
from rarec.testing import HashEmbedder
from rarec.testing.judges import Affinity, Era, Memory, SimulatedLLM, Taste, World, era_lover
from rarec.testing.second_domain import KINDS, PEOPLE, SecondDomain, second_domain
from rarec.types import Completion, CompletionRequest, Conversation, Item, ItemId, Mention, Turn

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(32)
LOOP = {"iterations": 4, "batch": 8, "proposal": 30, "learning_rate": 1e-2, "validate_every": 2, "judged_turns": 8}


@pytest.fixture(scope="module")
def domain() -> SecondDomain:
    return second_domain(3)


@pytest.fixture(scope="module")
def folder(domain: SecondDomain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of the own format, and an untrained bundle."""
    root = tmp_path_factory.mktemp("games")
    write_jsonl(root / "data", items=domain.items, splits={"train": domain.train[:30], "valid": domain.valid[:20]})
    model = Retriever(RetrieverConfig(text_dimension=32, width=8, item_hidden=8, blocks=1), seed=1)
    save_retriever(root / "bundle", model, embedder=EMBEDDER.name, training={})
    return root


class Counting:
    """A judge that counts what it is asked, and breaks down after some answers if it is told to."""

    def __init__(self, llm: LLM, *, breaks_after: int | None = None) -> None:
        self._llm, self._breaks_after, self.asked = llm, breaks_after, 0

    @property
    def name(self) -> str:
        return self._llm.name

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        if self.asked == self._breaks_after:
            raise RuntimeError("the plug is pulled")
        self.asked += 1
        return await self._llm.complete(request, on_text=on_text)


class Refusing:
    name = "refusing"

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        raise LLMRefused("I would rather not")


def recipe(folder: Path, learner: str = "ca-pg", /, **more: Any) -> AlignRecipe:
    usual = {
        "data": {"report_turns": 6},
        "judge": ERA_LOVER,
        "learner": {"name": learner},
        "sets": {"n": 5, "groups": 3, "ranked": 5},
        "loop": LOOP,
    }
    return games_recipe(folder, usual, more)


def run(folder: Path, out: Path, what: AlignRecipe, *, judge: LLM | None = None, replay: bool = False) -> AlignResult:
    given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER, judge=judge)
    return align(what, out=out, resources=given, replay=replay)


def weights(result: AlignResult) -> str:
    return digest(load_retriever(result.bundles[0], embedder=EMBEDDER.name).state_dict())


def judge_of(domain: SecondDomain) -> LLM:
    return era_lover(World.of(domain.items, kinds=KINDS, people=PEOPLE))


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("ca-pg", {"loop": {"refresh_every": 3}}),
    ("grpo", {"loop": {"inner_steps": 2, "learn_items": False}}),
    ("sft-longer", {}),
    ("top1-pg", {"loop": {"average": 0.7, "dropout": True}}),
]


@pytest.mark.parametrize(("learner", "more"), VARIANTS, ids=[learner for learner, _ in VARIANTS])
def test_a_broken_run_goes_on_to_the_same_weights_and_asks_nothing_twice(
    folder: Path, tmp_path: Path, domain: SecondDomain, learner: str, more: dict[str, Any]
) -> None:
    what = recipe(folder, learner, **more)
    whole = Counting(judge_of(domain))
    expected = run(folder, tmp_path / "whole", what, judge=whole)
    assert weights(expected) == expected.figures["seeds"]["0"]["weights"]

    places = [3, whole.asked // 2, whole.asked - 3]
    first = 0
    for place in places:  # before the first step, in the middle, and while the figures are measured
        broken = Counting(judge_of(domain), breaks_after=max(1, place - first))
        with pytest.raises(RuntimeError, match="plug"):
            run(folder, tmp_path / "broken", what, judge=broken)
        first += broken.asked
    last = Counting(judge_of(domain))
    found = run(folder, tmp_path / "broken", what, judge=last)
    assert weights(found) == weights(expected)
    assert first + last.asked == whole.asked
    assert found.figures["seeds"]["0"] == expected.figures["seeds"]["0"]
    kept = [(tmp_path / name / "seed-0" / "turns.jsonl").read_bytes() for name in ("broken", "whole")]
    assert kept[0] == kept[1]
    own, theirs = (list(read_log(tmp_path / name / "seed-0" / "log.jsonl")) for name in ("broken", "whole"))
    assert [strip(line) for line in own] == [strip(line) for line in theirs]

    replayed = run(folder, tmp_path / "whole", what, replay=True)
    assert replayed.equal is True
    assert (tmp_path / "whole" / "seed-0" / "replay" / "turns.jsonl").read_bytes() == kept[1]
    assert weights(run(folder, tmp_path / "whole", what, judge=Refusing())) == weights(expected)  # it is all there


def strip(line: dict[str, Any]) -> dict[str, Any]:
    """A log line without what depends on the clock or on what the ledger had."""
    return {k: v for k, v in line.items() if not k.startswith(("seconds", "time", "from", "cached"))}


def test_a_replay_needs_the_ledger_of_the_same_recipe(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "run", recipe(folder))
    (tmp_path / "run" / "seed-0" / "ledger.jsonl").unlink()
    with pytest.raises(StoreError, match="no rollout of turn"):
        run(folder, tmp_path / "run", recipe(folder), replay=True)
    with pytest.raises(StoreError, match=r'learner.name is "dpo", and was "ca-pg".* a folder of its own with --out'):
        run(folder, tmp_path / "run", recipe(folder, "dpo"))
    (tmp_path / "run" / "seed-0" / "ledger.jsonl").unlink()
    with pytest.raises(BundleError, match=r"the checkpoint .*loop.batch is 4, and was 8\)"):
        run(folder, tmp_path / "run", recipe(folder, loop={"batch": 4}))


def test_a_run_on_other_data_or_another_bundle_is_told_so(folder: Path, tmp_path: Path, domain: SecondDomain) -> None:
    write_jsonl(tmp_path / "data", items=domain.items, splits={"train": domain.train[:9], "valid": domain.valid[:9]})
    what, out = recipe(tmp_path, loop={"iterations": 1}), tmp_path / "run"
    run(folder, out, what)
    model = Retriever(RetrieverConfig(text_dimension=32, width=8, item_hidden=8, blocks=1), seed=2)
    save_retriever(tmp_path / "bundle", model, embedder=EMBEDDER.name, training={})
    given = Resources(bundle=tmp_path / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER)
    with pytest.raises(StoreError, match=r"another run \(the sha256 of the bundle's retriever is \"\w{39}…, and was"):
        align(what, out=out, resources=given)
    write_jsonl(tmp_path / "data", items=domain.items, splits={"train": domain.train[:8]})
    with pytest.raises(StoreError, match="so the conversations, items or events are not"):
        run(folder, out, what)


@pytest.mark.parametrize(
    ("first", "then", "done"),
    [
        ({"iterations": 3}, {"iterations": 6}, 6),  # a validation where it ended once, and the best weights there
        ({"iterations": 6}, {"iterations": 5}, 6),  # nothing more to do, and more was done than the recipe says now
        ({"iterations": 8, "patience": None}, {"iterations": 8, "patience": 1}, 8),  # it would have stopped earlier
        ({"iterations": 8, "patience": 1}, {"iterations": 10, "patience": 9}, 10),  # it had stopped, and goes on
    ],
)
def test_a_run_whose_end_was_moved_is_replayed_as_it_was(
    folder: Path, tmp_path: Path, first: dict[str, Any], then: dict[str, Any], done: int
) -> None:
    moving: dict[str, Any] = {"learning_rate": 0.03, "warmup": 0, "judged_turns": 20, "proposal": 60}
    begun, moved = (recipe(folder, sets={"n": 40, "ranked": 10}, loop={**moving, **loop}) for loop in (first, then))
    ended = run(folder, tmp_path, begun).figures["seeds"]["0"]["iterations"]
    assert ended == (2 if first.get("patience") else first["iterations"])
    last = run(folder, tmp_path, moved).figures["seeds"]["0"]
    replayed = run(folder, tmp_path, moved, replay=True)
    assert replayed.equal is True
    assert last["iterations"] == done
    assert last["best"] == 3 or first["iterations"] != 3
    again = replayed.figures["seeds"]["0"]
    assert [again[name] for name in ("validated", "best", "stopped")] == [
        last[name] for name in ("validated", "best", "stopped")
    ]


def test_an_unfinished_run_is_not_replayed_and_says_how_far_it_is(
    folder: Path, tmp_path: Path, domain: SecondDomain
) -> None:
    what = recipe(folder, seeds=[0, 1], loop={"validate_every": 4})
    broken = Counting(judge_of(domain), breaks_after=8 + 3 * 24 - 1)  # the third iteration lacks an answer
    with pytest.raises(RuntimeError, match="plug"):
        run(folder, tmp_path, what, judge=broken)
    told = "seed 0 has done 2 of 4 iterations, seed 1 has done 0 of 4 iterations; run the same command without --replay"
    with pytest.raises(StoreError, match=told):
        run(folder, tmp_path, what, replay=True)
    run(folder, tmp_path, what)
    assert run(folder, tmp_path, what, replay=True).equal is True
    longer = recipe(folder, seeds=[0, 1], loop={"validate_every": 4, "iterations": 6})
    assert run(folder, tmp_path, longer, replay=True).equal is True  # of what was done
    with pytest.raises(RuntimeError, match="plug"):
        run(folder, tmp_path, longer, judge=Counting(judge_of(domain), breaks_after=24 + 1))
    with pytest.raises(StoreError, match="seed 0 has done 5 of 6 iterations, seed 1 has done 4 of 6 iterations"):
        run(folder, tmp_path, longer, replay=True)
    (tmp_path / "seed-0" / "state.safetensors").write_bytes(b"damaged!")
    with pytest.raises(BundleError, match="delete it"):
        run(folder, tmp_path, longer, replay=True)
    with pytest.raises(StoreError, match="there is no folder"):
        run(folder, tmp_path / "none", what, replay=True)


def test_weights_that_differ_without_another_set_are_told_as_well(folder: Path, tmp_path: Path) -> None:
    loop = {"learning_rate": 0.003, "warmup": 0, "judged_turns": 20, "proposal": 60}
    what = recipe(folder, "pg", learner={"lambda_nll": 1.0}, sets={"n": 40, "ranked": 10}, loop=loop)
    assert run(folder, tmp_path, what).figures["seeds"]["0"]["best"] == 2
    path = tmp_path / "seed-0" / "ledger.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        if record.get("iteration") == 1 and record["group"] == 1:
            record["reward"] += 1e-6
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    found = run(folder, tmp_path, what, replay=True)
    assert found.equal is False
    assert "seed 0 departs from its run at iteration 1: reward is " in found.difference


CHILD = """
import sys, torch
from pathlib import Path
from rarec.alignment import Resources, align, load_align_recipe
from rarec.testing import HashEmbedder
torch.set_num_threads(1)
folder, out = map(Path, sys.argv[1:])
given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=HashEmbedder(32))
align(load_align_recipe(folder / "recipe.toml"), out=out, resources=given)
"""


def test_a_killed_run_goes_on(folder: Path, tmp_path: Path) -> None:
    what = recipe(folder, "dpo", loop={"iterations": 16, "patience": None})
    document = what.model_dump(mode="json", exclude_none=True)
    (folder / "recipe.toml").write_text(_toml(document))
    out, log = tmp_path / "run", tmp_path / "run" / "seed-0" / "log.jsonl"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(out)]) as child:
        until = time.monotonic() + 60
        while time.monotonic() < until and not (log.exists() and log.read_text().count("\n") > 4):
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    done = log.read_text().count("\n")
    assert 4 < done < 16 + 9
    killed = run(folder, out, what)
    assert weights(killed) == weights(run(folder, tmp_path / "whole", what))
    assert killed.figures["seeds"]["0"]["iterations"] == 16


def _toml(document: dict[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in document.items() if not isinstance(value, dict)]
    for key, value in document.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())]
    return "\n".join(lines)


def test_the_plan_counts_the_calls_that_are_made(folder: Path, tmp_path: Path, domain: SecondDomain) -> None:
    what = recipe(folder, "pg", loop={"iterations": 5, "batch": 20, "patience": None}, seeds=[0, 1])
    given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER)
    planned = plan(what, out=tmp_path / "run", resources=given)
    judge = Counting(judge_of(domain))
    result = run(folder, tmp_path / "run", what, judge=judge)
    assert judge.asked == planned.calls
    spent = sum(found["tokens"] for found in result.figures["seeds"].values())
    assert 0.5 * spent < planned.tokens < 2 * spent
    assert planned.tokens_most > spent
    assert planned.learning > planned.validation > planned.report > 0


def test_the_plan_of_a_run_that_was_broken_off_counts_what_is_left(
    folder: Path, tmp_path: Path, domain: SecondDomain
) -> None:
    loop = {"iterations": 2, "patience": None}
    what, out = recipe(folder, "pg", loop=loop, seeds=[0, 1]), tmp_path / "run"
    given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER)
    whole = plan(what, out=out, resources=given)
    assert (whole.answered, whole.calls) == (0, whole.learning + whole.validation + whole.report)
    asked = 0
    for breaks_after in (whole.learning // 4, whole.calls // 2):  # in the first seed, and in the second
        with pytest.raises(RuntimeError, match="plug"):
            run(folder, out, what, judge=Counting(judge_of(domain), breaks_after=breaks_after))
        asked += breaks_after
        files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        left = plan(what, out=out, resources=given)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
        assert (left.answered, left.calls) == (asked, whole.calls - asked)
        assert left.tokens < whole.tokens
    less = recipe(folder, "pg", loop=loop, seeds=[0, 1], budget={"calls": whole.calls - 1})
    _, ceiling = plan(less, out=out, resources=given).remarks
    assert "that were made: it would stop there" in ceiling
    last = Counting(judge_of(domain))
    run(folder, out, what, judge=last)
    assert last.asked == left.calls
    assert plan(what, out=out, resources=given).calls == 0
    told = plan(recipe(folder, "dpo", seeds=[0, 1]), out=out, resources=given).remarks[-1]
    assert told.startswith("The run would be refused: the ledger ")
    assert 'learner.name is "dpo", and was "pg"' in told


@pytest.mark.parametrize("data", [{}, {"tuning": "dev"}])
def test_a_plan_leaves_no_empty_folder(folder: Path, tmp_path: Path, data: dict[str, Any]) -> None:
    what = recipe(folder, data={"name": "games", "folder": str(folder / "data"), **data})
    given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER)
    with suppress(InputError):
        plan(what, out=tmp_path / "runs" / "run", resources=given)
    assert not list(tmp_path.iterdir())
    with suppress(InputError):
        plan(what, out=tmp_path / "runs" / "run", resources=replace(given, cache=None))
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.name.startswith("embeddings.sqlite") for path in kept)
    assert (tmp_path / "runs").exists() is bool(kept) is not bool(data)


def test_equal_rewards_leave_the_weights_as_they_are(folder: Path, tmp_path: Path) -> None:
    """With a proposal of n items all sets are the same, and so is what they hold of the truth."""
    for learner in ("ca-pg", "dpo", "mult-dpo", "pg", "top1-pg"):
        what = recipe(
            folder,
            learner,
            learner={"lambda_nll": 0.0},
            reward={"recall@5": 1.0},
            loop={"proposal": 5, "iterations": 2, "batch": 4, "judged_turns": 2},
        )
        result = run(folder, tmp_path / learner, what)
        start = load_retriever(folder / "bundle", embedder=EMBEDDER.name).state_dict()
        state = load_retriever(result.bundles[0], embedder=EMBEDDER.name).state_dict()
        lines = [line for line in read_log(tmp_path / learner / "seed-0" / "log.jsonl") if "kind" not in line]
        assert [line["no signal"] for line in lines] == [1.0, 1.0]
        if learner in ("dpo", "mult-dpo", "pg"):
            assert [line["grad norm"] for line in lines] == [0.0, 0.0]
        assert all(tensor.isfinite().all() for tensor in state.values())
        if learner in ("dpo", "mult-dpo", "pg"):
            assert digest(state) == digest(start)


def test_a_judge_that_always_refuses_stops_the_run_with_its_words(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LLMUnavailable, match="I would rather not"):
        run(folder, tmp_path / "run", recipe(folder), judge=Refusing())


def test_a_budget_stops_the_run_and_a_larger_one_goes_on(folder: Path, tmp_path: Path, domain: SecondDomain) -> None:
    judge = Counting(judge_of(domain))
    said = r"allows 30 calls: 30 calls spent; raise budget\.calls in the recipe and run the same command again"
    with pytest.raises(BudgetExceeded, match=said):
        run(folder, tmp_path / "run", recipe(folder, budget={"calls": 30}), judge=judge)
    assert judge.asked == 30
    result = run(folder, tmp_path / "run", recipe(folder, budget={"calls": 5000}), judge=judge)
    assert judge.asked == result.figures["seeds"]["0"]["calls"]


def test_a_catalogue_that_is_smaller_than_a_set_is_refused(folder: Path, tmp_path: Path, domain: SecondDomain) -> None:
    """One correction is enough: the largest size that any turn allows is named, and it runs."""
    given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER)
    items = len(domain.items)
    for n in (items + 1, items):
        with pytest.raises(InputError, match=rf"sets.n = {n} is too large: .* {items} items, .* \d+$") as caught:
            run(folder, tmp_path / "a", recipe(folder, sets={"n": n}, loop={"proposal": items + 100}))
    most = int(str(caught.value).rpartition(" ")[2])
    assert items - 20 < most < items
    small = {"iterations": 1, "batch": 40, "judged_turns": 40, "proposal": items + 100}
    with pytest.raises(InputError, match=f"at most {most}$"):
        plan(recipe(folder, sets={"n": most + 1}, loop=small), out=tmp_path / "b", resources=given)
    run(folder, tmp_path / "b", recipe(folder, sets={"n": most, "groups": 2}, loop=small))


def test_the_plan_remarks_what_stands_in_the_way(
    folder: Path, tmp_path: Path, domain: SecondDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remarks(own: LLM | None = None, **more: Any) -> tuple[str, ...]:
        given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER, judge=own)
        return plan(recipe(folder, **{"reward": {"mrr@2": 1.0}, **more}), out=tmp_path / "run", resources=given).remarks

    endpoint = {"kind": "endpoint", "model": "m"}
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OTHER_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert remarks() == ()
    (key,) = remarks(judge=endpoint)
    assert "cannot be asked yet: there is no key for https://api.openai.com" in key
    assert "OPENAI_API_KEY" in key
    (key,) = remarks(judge={**endpoint, "api_key_env": "OTHER_KEY"})
    assert "variable 'OTHER_KEY' named by judge.api_key_env is not set; set it to the key of 'm'" in key
    assert remarks(judge={**endpoint, "base_url": "http://127.0.0.1:1/v1"}) == ()  # on this machine none is needed
    assert remarks(judge_of(domain), judge=endpoint) == ()
    monkeypatch.setenv("OTHER_KEY", "not-a-key")
    assert remarks(judge={**endpoint, "api_key_env": "OTHER_KEY"}) == ()
    (ranker,) = remarks(judge={"kind": "local"})
    assert "has no file 'ranker.json'" in ranker
    (size,) = remarks(reward={"mrr@2": 1.0, "recall": 0.5})
    assert "sets.n = 5 leaves little to choose: the reward looks at 10 places" in size
    (ceiling,) = remarks(budget={"calls": 3})
    assert "budget.calls = 3 is less than these calls" in ceiling


def test_only_what_was_held_back_is_learned_from_and_figures_may_be_of_a_split_of_their_own(
    tmp_path: Path, folder: Path, domain: SecondDomain
) -> None:
    splits = {"train": domain.train[:40], "valid": domain.valid[:20], "test": domain.test[:15]}
    write_jsonl(tmp_path / "data", items=domain.items, splits=splits)
    data = {"name": "games", "folder": str(tmp_path / "data"), "report": "test", "held_back": 0.4}
    what = recipe(folder, data=data)
    given = gather(what, bundle=folder / "bundle", cache=folder / "c.sqlite", embedder=EMBEDDER, tell=lambda *_: None)
    kept = {c.id for c in domain.train[:40] if held_back(c.id, 0.4)}
    assert 0 < len(kept) < 40
    assert {turn.turn.dialogue for turn in given.learn} == kept
    assert {turn.turn.dialogue for turn in given.tune} == {c.id for c in domain.valid[:20]}
    assert {turn.turn.dialogue for turn in given.report} == {c.id for c in domain.test[:15]}
    told = (
        r"^data.tuning = 'vaild': .* no split 'vaild'; data.report = 'dev': .* no split 'dev'; under .*'train', 'valid'"
    )
    with pytest.raises(InputError, match=told):
        run(folder, tmp_path / "run", recipe(folder, data={**data, "tuning": "vaild", "report": "dev"}))
    for report, split in (("test", "test"), ("", "valid")):
        figures = run(folder, tmp_path / split, recipe(folder, data={**data, "report": report})).figures["seeds"]["0"]
        turns = figures["after the judge"]["turns"]
        assert figures["on"] == f"{turns} turns of '{split}' whose dialogues chose no weights"
        assert figures["held out"] is True
        assert {turn.gold.id.partition("/")[0] for turn in read_report_turns(tmp_path / split).turns} == {split}


@pytest.fixture
def material(folder: Path) -> Material:
    bundle, cache = folder / "bundle", folder / "cache.sqlite"
    return gather(recipe(folder), bundle=bundle, cache=cache, embedder=EMBEDDER, tell=lambda *_: None)


def test_runs_that_are_given_their_material_do_not_read_the_data(
    folder: Path, tmp_path: Path, material: Material
) -> None:
    """A run of two iterations goes on to four, and another learner has its turn, without the data set."""
    first, what, other = recipe(folder, loop={"iterations": 2}), recipe(folder), recipe(folder, "dpo")
    run(folder, tmp_path / "run", first)
    expected = [run(folder, tmp_path / name, one) for name, one in (("a", what), ("b", other))]
    moved = shutil.move(folder / "data", folder / "moved")
    try:
        given = Resources(bundle=folder / "bundle", cache=tmp_path / "no.sqlite", embedder=EMBEDDER, material=material)
        found = [align(one, out=tmp_path / name, resources=given) for name, one in (("run", what), ("c", other))]
        assert plan(what, out=tmp_path / "run", resources=given).turns == len(material.learn)
        with pytest.raises(InputError):
            run(folder, tmp_path / "d", what)
    finally:
        shutil.move(moved, folder / "data")
    assert not (tmp_path / "no.sqlite").exists()
    assert [weights(one) for one in found] == [weights(one) for one in expected]
    own, theirs = (one.figures["seeds"]["0"] for one in (found[1], expected[1]))
    assert own == theirs


def test_a_material_of_something_else_is_refused(folder: Path, tmp_path: Path, material: Material) -> None:
    def refused(what: AlignRecipe, told: str, **more: Any) -> None:
        given = Resources(**{"bundle": folder / "bundle", "embedder": EMBEDDER, "material": material, **more})
        with pytest.raises(InputError, match=told):
            align(what, out=tmp_path / "run", resources=given)

    data = {"name": "games", "folder": str(folder / "data")}
    refused(recipe(folder, data={**data, "held_back": 0.5}), "data.held_back is 0.5 and was None")
    refused(recipe(folder, data={**data, "folder": str(tmp_path)}), "data.folder is ")
    refused(recipe(folder), "the embedder is ", embedder=HashEmbedder(16))
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    refused(recipe(folder), "the bundle is .*leave it out$", bundle=tmp_path / "bundle")
    model = Retriever(RetrieverConfig(text_dimension=32, width=8, item_hidden=8, blocks=1), seed=2)
    save_retriever(tmp_path / "bundle", model, embedder=EMBEDDER.name, training={})
    refused(recipe(folder), "the bundle is .*; the sha256 of its weights is ", bundle=tmp_path / "bundle")
    layout = tmp_path / "own.toml"
    layout.write_text('name = "own"\n')
    refused(recipe(folder, data={**data, "layout": str(layout)}), "data.layout is .*; the layout is ")
    people = parse_align_recipe({"data": data, "judge": {"kind": "people", "events": "e.jsonl"}}, source="test")
    refused(people, "reads its events itself")
    fewer = recipe(folder, data={**data, "report_turns": 2})  # decides what is measured, not what is read
    given = Resources(bundle=folder / "bundle", embedder=EMBEDDER, material=material)
    figures = align(fewer, out=tmp_path / "fewer", resources=given).figures
    assert figures["seeds"]["0"]["alone"]["turns"] == 2


def test_turns_that_recommend_nothing_new_are_left_out(folder: Path, tmp_path: Path, domain: SecondDomain) -> None:
    bare = [
        replace(c, turns=tuple(replace(t, mentions=()) for t in c.turns), id=f"bare-{c.id}") for c in domain.train[:5]
    ]
    write_jsonl(tmp_path / "data", items=domain.items, splits={"train": bare, "valid": domain.valid[:10]})
    with pytest.raises(InputError, match="0 turns to learn from"):
        run(folder, tmp_path / "run", recipe(folder, data={"name": "g", "folder": str(tmp_path / "data")}))


def test_dropout_leaves_the_ratio_of_a_second_step_to_the_weights(folder: Path, tmp_path: Path) -> None:
    still = {"inner_steps": 2, "dropout": True, "learning_rate": 1e-12, "batch": 30, "proposal": 60}
    more = {"sets": {"n": 30, "ranked": 30}, "reward": {"ndcg@50": 1.0}, "loop": still}
    run(folder, tmp_path, recipe(folder, "grpo", learner={"lambda_nll": 0.0, "kl_weight": 0.0}, **more))
    steps = [facts for facts in read_log(tmp_path / "seed-0" / "log.jsonl") if "loss rl" in facts]
    assert any(facts["told"] > 0 for facts in steps)
    # Advantages of a turn add up to 0, and weights that stand still have a ratio of 1.
    assert [facts["loss rl"] for facts in steps] == pytest.approx([0.0] * len(steps), abs=1e-6)


@pytest.mark.parametrize("behind", [False, True])
def test_another_ranker_is_another_judge(folder: Path, tmp_path: Path, behind: bool) -> None:
    judge: dict[str, Any] = {"kind": "local"}
    if behind:
        examples = open_data_set("jsonl", folder / "data").examples("train")
        lines = [{"example": one.id, "items": list(one.targets)} for one in examples]
        (tmp_path / "lists.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        judge = {"kind": "recorded", "lists": str(tmp_path / "lists.jsonl"), "behind": judge}
    what = recipe(folder, judge=judge, loop={"iterations": 1})
    shutil.copytree(folder / "bundle", tmp_path / "bundle")

    def started(seed: int) -> None:
        config = RankerConfig(text_dimension=32)
        ranker = Ranker(config, seed=seed)
        save_model(tmp_path / "bundle", ranker, kind="ranker", config=config, embedder=EMBEDDER.name, training={})
        given = Resources(bundle=tmp_path / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER)
        align(what, out=tmp_path / "run", resources=given)

    started(1)
    started(1)
    with pytest.raises(StoreError, match="the sha256 of the bundle's ranker is "):
        started(2)


def test_other_attributes_of_items_are_other_material(folder: Path, tmp_path: Path, domain: SecondDomain) -> None:
    shutil.copytree(folder / "data", tmp_path / "data")
    what = recipe(tmp_path)
    run_of = {"bundle": folder / "bundle", "cache": folder / "cache.sqlite", "embedder": EMBEDDER}
    before = gather(what, tell=lambda *_: None, **run_of)
    write_jsonl(tmp_path / "data", items=[replace(item, attributes={}) for item in domain.items], splits={})
    after = gather(what, tell=lambda *_: None, **run_of)
    assert not torch.equal(before.stock.table.features, after.stock.table.features)
    assert before.content != after.content


def test_annotated_sentiments_are_learned_from_only_if_the_recipe_says_so(
    folder: Path, tmp_path: Path, domain: SecondDomain
) -> None:
    told = {name: [sure(c) for c in own[:20]] for name, own in (("train", domain.train), ("valid", domain.valid))}
    write_jsonl(tmp_path / "data", items=domain.items, splits=told)
    for wanted, seen in ((False, {"mentioned"}), (True, {"disliked"})):
        data = {"name": "games", "folder": str(tmp_path / "data"), "sentiments": wanted}
        given = gather(
            recipe(folder, data=data), bundle=folder / "bundle", cache=folder / "c.sqlite", embedder=EMBEDDER,
            tell=lambda *_: None,
        )  # fmt: skip
        turns = [*given.learn, *given.tune, *given.report]
        assert {m.sentiment for turn in turns for m in turn.turn.conversation.mentions()} == seen


def sure(conversation: Conversation) -> Conversation:
    """Everything that is mentioned is disliked."""
    turns = tuple(
        replace(turn, mentions=tuple(replace(m, sentiment="disliked") for m in turn.mentions or ()))
        for turn in conversation.turns
    )
    return replace(conversation, turns=turns)


def test_another_weight_of_counts_or_another_layout_is_another_run(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    layout = tmp_path / "own.toml"
    layout.write_text('name = "own"\n')
    what = recipe(folder, data={"layout": str(layout), "report_turns": 6}, loop={"iterations": 1})

    def started() -> None:
        given = Resources(bundle=tmp_path / "bundle", cache=tmp_path / "cache.sqlite", embedder=EMBEDDER)
        align(what, out=tmp_path / "run", resources=given)

    started()
    manifest = json.loads((path := tmp_path / "bundle" / "retriever.json").read_text())
    manifest["config"]["asked"] = {"weight": 0.5, "gain": 6.0, "share": 0.02, "most": 300}
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="the sha256 of the retriever's config is "):
        started()
    shutil.copyfile(folder / "bundle" / "retriever.json", path)
    started()
    layout.write_text('name = "own"\nmax_text_chars = 40\n')
    with pytest.raises(StoreError, match="the layout is "):
        started()


def test_items_that_cannot_be_told_apart_are_measured_by_one_order(folder: Path, tmp_path: Path) -> None:
    """All scores are equal, and the first ten of eleven are not the first ten of ten."""
    items = [Item(ItemId(f"i{number}"), "The same", text="As the others.") for number in range(20)]
    talks = [
        Conversation((Turn("user", "Hello."), Turn("assistant", "This.", (Mention(item.id),))), f"talk-{item.id}")
        for item in items
    ]
    write_jsonl(tmp_path / "data", items=items, splits={"train": talks[:4], "valid": talks[4:]})
    loop = {"iterations": 1, "batch": 4, "proposal": 20}
    what = recipe(tmp_path, data={"report_turns": 8}, sets={"n": 11, "groups": 2, "ranked": 11}, loop=loop)
    figures = run(folder, tmp_path / "run", what).figures["seeds"]["0"]
    assert figures["alone"]["before"] > 0


def test_a_judge_that_goes_by_attributes_which_no_item_has_is_told_of(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER)
    films = {"kind": "simulated", "preset": "connoisseur", "kinds": ["genres"], "people": ["directors", "designers"]}
    told = "no item of the catalogue has 'directors', which the judge 'connoisseur' goes by; name others"
    for judge, warned in ((films, True), ({**films, "people": ["designers"]}, False)):  # it looks at no kinds
        caplog.clear()
        plan(recipe(folder, judge=judge), out=tmp_path, resources=given)
        assert (told in caplog.text) is warned
        assert ("'mechanics'" in caplog.text) is warned


def test_negatives_of_a_corpus_need_one(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"loop\.negatives = 5 are drawn from a corpus .* 'games' has none; set it to 0"
    ):
        run(folder, tmp_path, recipe(folder, loop={**LOOP, "negatives": 5}))


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"weights": None}, "there is no 'weights'"),
        ({"validated": [3]}, "is damaged at seed 0"),
        ({"iterations": "many"}, "'many'"),
    ],
)
def test_damaged_figures_are_no_run_to_replay(folder: Path, tmp_path: Path, own: dict[str, Any], told: str) -> None:
    whole = {"weights": "x", "validated": [[0, 0.1]], "iterations": 1, "stopped": "all", **own}
    seeds = {"0": {name: value for name, value in whole.items() if value is not None}}
    (tmp_path / "figures.json").write_text(json.dumps({"seeds": seeds}))
    with pytest.raises(StoreError, match=told):
        run(folder, tmp_path, recipe(folder), replay=True)
    (tmp_path / "figures.json").write_text(json.dumps({"seeds": [0]}))
    with pytest.raises(StoreError, match="is damaged at seed 0"):
        run(folder, tmp_path, recipe(folder), replay=True)


def test_a_fact_that_only_one_of_two_logs_has_is_where_they_part(tmp_path: Path) -> None:
    for name, facts in (("a", {"kl": None}), ("b", {})):
        (tmp_path / name).write_text(json.dumps({"iteration": 0, "reward": 0.5, **facts}) + "\n")
    assert first_difference(tmp_path / "a", tmp_path / "b") == "at iteration 0: kl is None and was None"


def test_stale_vectors_are_measured_and_make_proposals_only(folder: Path, tmp_path: Path) -> None:
    what = recipe(folder, loop={"iterations": 5, "refresh_every": 2, "learning_rate": 0.05, "warmup": 0})
    run(folder, tmp_path / "run", what)
    lines = [line for line in read_log(tmp_path / "run" / "seed-0" / "log.jsonl") if "kind" not in line]
    assert ["stale missing" in line for line in lines] == [False, False, True, False, True]
    assert all(0 < line["stale missing"] < 1 and line["stale drift"] > 0 for line in lines if "stale missing" in line)
    assert all(line["policy"] == "on-policy" for line in lines)


def fine_tuned(folder: Path, domain: SecondDomain, embedder: HashEmbedder) -> None:
    """A bundle that has learned from other players' conversations than those that alignment sees."""
    layout = load_layout("generic")
    table = ItemTable.of(list(domain.items), embedder.embed([layout.render(item) for item in domain.items]))
    data = conversation_data(domain.train[:500], table, embedder)
    model = Retriever(RetrieverConfig(text_dimension=64, width=32, item_hidden=64, blocks=1), seed=0)
    task = NextMention(model, table, data, np.arange(len(table)), FinetuneConfig(negatives=0))
    train(model, task, TrainerConfig(epochs=8, learning_rate=3e-3, patience=None))
    save_retriever(folder / "bundle", model, embedder=embedder.name, training={})


@pytest.mark.slow
def test_the_reward_rises_and_fine_tuning_longer_does_not_learn_the_judges_taste(tmp_path: Path) -> None:
    """A judge that puts older games first, which no label shows. Figures are on players that nobody learned from."""
    embedder, domain = HashEmbedder(64), second_domain(0)
    splits = {"train": domain.train[500:], "valid": [*domain.valid, *domain.test]}
    write_jsonl(tmp_path / "data", items=domain.items, splits=splits)
    fine_tuned(tmp_path, domain, embedder)
    taste = Taste((Affinity(0.5), Era(3.0, years=(1978, 2005), width=3.0)))
    judge = SimulatedLLM(taste, Memory.of(domain.items), name="hidden")
    given = Resources(bundle=tmp_path / "bundle", cache=tmp_path / "cache.sqlite", embedder=embedder, judge=judge)
    figures: dict[str, Any] = {}
    for learner in ("ca-pg", "sft-longer"):
        what = parse_align_recipe(
            {
                "data": {"name": "games", "folder": str(tmp_path / "data"), "report_turns": 600},
                "judge": {"kind": "local"},  # another takes its place
                "learner": {"name": learner},
                "sets": {"n": 30, "groups": 4, "ranked": 10},
                "loop": {
                    "iterations": 16, "batch": 48, "proposal": 120, "learning_rate": 2e-3, "warmup": 4,
                    "validate_every": 16, "judged_turns": 200,
                },
            },
            source="test",
        )  # fmt: skip
        figures[learner] = align(what, out=tmp_path / learner, resources=given).figures["seeds"]["0"]
    lines = read_log(tmp_path / "ca-pg" / "seed-0" / "log.jsonl")
    rewards = [line["reward"] for line in lines if "reward" in line]
    aligned, control = (figures[learner]["after the judge"] for learner in ("ca-pg", "sft-longer"))
    assert aligned["before"] == control["before"]
    assert sum(rewards[-5:]) > 1.25 * sum(rewards[:5])
    assert aligned["low"] > 0
    assert aligned["relative"] > 0.2
    assert control["gain"] < 0.75 * aligned["gain"]  # 0.34 to 0.52 of it with three seeds of fine-tuning
