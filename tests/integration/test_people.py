"""Learning from people end to end: gone on with, replayed, refused, and worth something to those who were not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from games import games_recipe
from rarec.align.checkpoint import digest
from rarec.align.journal import read_log
from rarec.align.measuring import best_lists
from rarec.align.policy import ordered_log_prob, sample_sets
from rarec.align.scorer import Scorer
from rarec.align.turns import LearningTurn, Stock, turn_data
from rarec.alignment import AlignRecipe, AlignResult, Resources, align
from rarec.alignment.run import plan
from rarec.catalogue import load_layout
from rarec.conversations import Example, as_served, examples_from_conversations, write_jsonl
from rarec.errors import InputError, StoreError
from rarec.feedback import FeedbackEvent, event_line
from rarec.retriever.bundle import load_retriever, save_retriever
from rarec.retriever.data import ItemTable, conversation_data
from rarec.retriever.features import PopularityScale
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.tasks import FinetuneConfig, NextMention
from rarec.retriever.trainer import TrainerConfig, train
from rarec.reward import Feedback
from rarec.testing import HashEmbedder
from rarec.testing.second_domain import Choices, SecondDomain, second_domain

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER, WIDER = HashEmbedder(32), HashEmbedder(64)
LOOP = {"iterations": 4, "batch": 8, "proposal": 30, "learning_rate": 1e-2, "validate_every": 2}


def shown_sets(
    bundle: Path,
    embedder: HashEmbedder,
    domain: SecondDomain,
    examples: Sequence[Example],
    *,
    proposal: int,
    n: int,
    draws: bool = True,
) -> list[FeedbackEvent]:
    """What a service would show that draws its sets from the bundle, or shows its first n; nobody has reacted yet."""
    layout = load_layout("generic")
    vectors = embedder.embed([layout.render(item) for item in domain.items])
    scale = PopularityScale([item.popularity for item in domain.items])
    stock = Stock(domain.items, ItemTable.of(list(domain.items), vectors, scale=scale))
    turns = [LearningTurn(e.id, e.dialogue, as_served(e.conversation), ()) for e in examples]
    data = turn_data(turns, stock, embedder.embed, need_truth=False)
    scorer = Scorer(load_retriever(bundle, embedder=embedder.name), stock, data.messages)
    lists = best_lists(scorer, data.turns, proposal)
    scores = torch.tensor([[score for _, score in own] for own in lists], dtype=torch.float64)
    sets = sample_sets(scores, n, groups=1, generator=torch.Generator().manual_seed(0))
    if not draws:
        sets = torch.arange(n).expand(len(examples), 1, n)
    log_probs = ordered_log_prob(scores, sets)[:, 0].tolist()
    return [
        FeedbackEvent(
            example.id,
            replace(example.conversation, id=example.dialogue),
            Feedback(tuple(own[column][0] for column in drawn)),
            policy="start",
            log_prob=log_prob,
        )
        for example, own, drawn, log_prob in zip(examples, lists, sets[:, 0].tolist(), log_probs, strict=True)
    ]


def reacted(events: Sequence[FeedbackEvent], domain: SecondDomain, *, per_decade: float) -> list[FeedbackEvent]:
    """Players like the best of what they see, click on the second and refuse the worst; older games are better."""
    rng = np.random.default_rng(0)
    rows = {item.id: row for row, item in enumerate(domain.items)}
    found = []
    for event in events:
        shown = event.feedback.shown
        own = [rows[item] for item in shown]
        taste = 0.5 * Choices.of(domain.player_of(event.conversation.id), domain.shelf).logits[own]
        value = taste - per_decade * (domain.shelf.years[own] - 2000) / 10 + rng.gumbel(size=len(own))
        best, second, *_, worst = np.argsort(-value)
        found.append(
            replace(
                event,
                feedback=Feedback(
                    shown, frozenset({shown[second]}), frozenset({shown[best]}), frozenset({shown[worst]})
                ),
            )
        )
    return found


def first_turns(conversations: Sequence[Any]) -> list[Example]:
    """The first recommendation of each conversation."""
    found: dict[str, Example] = {}
    for example in examples_from_conversations(conversations):
        found.setdefault(example.dialogue, example)
    return list(found.values())


def write_events(path: Path, events: Sequence[FeedbackEvent]) -> None:
    path.write_text("".join(event_line(event) + "\n" for event in events))


@pytest.fixture(scope="module")
def domain() -> SecondDomain:
    return second_domain(3)


@pytest.fixture(scope="module")
def events(domain: SecondDomain, folder: Path) -> list[FeedbackEvent]:
    """Sets of several sizes, two of some turns; people who only refuse, only click, or do nothing."""
    examples = first_turns(domain.train[:40])
    drawn = shown_sets(folder / "bundle", EMBEDDER, domain, examples, proposal=30, n=5)
    found = reacted(drawn, domain, per_decade=1.5)
    for at, event in enumerate(found):
        feedback = event.feedback
        if at % 5 == 1:
            feedback = replace(feedback, liked=frozenset(), clicked=frozenset())
        if at % 5 == 2:
            feedback = replace(feedback, liked=frozenset(), refused=frozenset())
        if at % 5 == 3:
            feedback = Feedback(feedback.shown[:3], liked=frozenset(feedback.shown[:1]))
        found[at] = replace(event, feedback=feedback)
    more = [
        replace(
            event, id=f"{event.id}-again", feedback=Feedback(event.feedback.shown[::-1], clicked=frozenset({shown}))
        )
        for event in found[::4]
        for shown in event.feedback.shown[:1]
    ]
    idle = replace(found[0], id="idle", feedback=Feedback(found[0].feedback.shown))
    return [*found, *more, idle]


@pytest.fixture(scope="module")
def folder(domain: SecondDomain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue without conversations, and an untrained bundle."""
    root = tmp_path_factory.mktemp("people")
    write_jsonl(root / "data", items=domain.items, splits={})
    model = Retriever(RetrieverConfig(text_dimension=32, width=8, item_hidden=8, blocks=1), seed=1)
    save_retriever(root / "bundle", model, embedder=EMBEDDER.name, training={})
    return root


def recipe(folder: Path, learner: dict[str, Any] | None = None, /, **more: Any) -> AlignRecipe:
    usual = {
        "judge": {"kind": "people", "events": str(folder / "events.jsonl")},
        "learner": learner or {"name": "mult-dpo", "pairs": "credits"},
        "loop": LOOP,
    }
    return games_recipe(folder, usual, more)


class Unplugged(Exception):
    pass


def run(folder: Path, out: Path, what: AlignRecipe, **more: Any) -> AlignResult:
    """Breaks off after `stop` iterations, if given."""
    stop, replay = more.pop("stop", None), more.pop("replay", False)

    def progress(stage: str, done: int, total: int, beside: str) -> None:
        if stage.startswith("seed") and done == stop:
            raise Unplugged

    given = Resources(
        bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER, progress=progress, **more
    )
    return align(what, out=out, resources=given, replay=replay)


def weights(result: AlignResult) -> str:
    return digest(load_retriever(result.bundles[0], embedder=EMBEDDER.name).state_dict())


def log_of(out: Path) -> list[dict[str, Any]]:
    lines = read_log(out / "seed-0" / "log.jsonl")
    return [{k: v for k, v in line.items() if not k.startswith(("seconds", "time"))} for line in lines]


VARIANTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"name": "mult-dpo", "pairs": "credits"}, {"loop": {"refresh_every": 3}}),
    ({"name": "ca-pg"}, {"judge": {"importance_clip": 2.0, "eta": 1.0}}),
    ({"name": "top1-pg"}, {"loop": {"inner_steps": 2, "learn_items": False}}),
    ({"name": "grpo"}, {"loop": {"inner_steps": 2}}),
    ({"name": "dpo"}, {}),
    ({"name": "sft-longer"}, {}),
]


@pytest.mark.parametrize(("learner", "more"), VARIANTS, ids=[learner["name"] for learner, _ in VARIANTS])
def test_a_run_that_stops_goes_on_and_is_replayed_bit_for_bit(
    folder: Path, tmp_path: Path, events: list[FeedbackEvent], learner: dict[str, Any], more: dict[str, Any]
) -> None:
    write_events(folder / "events.jsonl", events)
    what = recipe(folder, learner, **more)
    expected = run(folder, tmp_path / "whole", what)
    for stop in (1, 3):
        with pytest.raises(Unplugged):
            run(folder, tmp_path / "broken", what, stop=stop)
    found = run(folder, tmp_path / "broken", what)
    assert weights(found) == weights(expected) == expected.figures["seeds"]["0"]["weights"]
    assert found.figures["seeds"]["0"] == expected.figures["seeds"]["0"]
    assert log_of(tmp_path / "broken") == log_of(tmp_path / "whole")
    assert run(folder, tmp_path / "whole", what, replay=True).equal is True
    steps = [line for line in log_of(tmp_path / "whole") if "kind" not in line]
    logged = "on-policy" if learner["name"] == "sft-longer" else "off-policy (logged)"
    assert {line["policy"] for line in steps} == {logged}
    assert all(np.isfinite(value) for line in steps for value in line.values() if isinstance(value, float))
    assert ("importance weight" in steps[0]) == ("importance_clip" in more.get("judge", {}))
    assert {(line["calls"], line["usd"]) for line in log_of(tmp_path / "whole")} == {(0, 0.0)}


def test_a_database_is_as_good_as_a_file(folder: Path, tmp_path: Path, events: list[FeedbackEvent]) -> None:
    write_events(folder / "events.jsonl", events)
    expected = run(folder, tmp_path / "file", recipe(folder))
    elsewhere = recipe(folder, judge={"events": str(tmp_path / "none.jsonl")})
    assert weights(run(folder, tmp_path / "rows", elsewhere, events=events)) == weights(expected)


def test_other_events_are_another_run(folder: Path, tmp_path: Path, events: list[FeedbackEvent]) -> None:
    write_events(folder / "events.jsonl", events)
    run(folder, tmp_path / "run", recipe(folder))
    write_events(folder / "events.jsonl", [*events, events[0]])
    for replay in (False, True):
        with pytest.raises(StoreError, match="so the conversations, items or events are not"):
            run(folder, tmp_path / "run", recipe(folder), replay=replay)


def test_the_plan_and_the_card_say_what_was_learned_from(
    folder: Path, tmp_path: Path, events: list[FeedbackEvent]
) -> None:
    write_events(folder / "events.jsonl", events)
    given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=EMBEDDER)
    planned = plan(recipe(folder), out=tmp_path / "run", resources=given)
    assert (planned.calls, planned.tokens, planned.left_out) == (0, 0, 1)
    assert planned.turns + planned.tuning + planned.reporting == len(
        {(e.conversation, len(e.feedback.shown)) for e in events}
    )
    result = run(folder, tmp_path / "run", recipe(folder))
    text = (result.bundles[0] / "CARD.md").read_text()
    assert "1 no preference among what was shown" in text
    assert all(f"| {name} |" in text for name in ("alone", "agreement", "refused in first 10"))
    assert "No model was asked" in text
    assert set(result.figures["mean of seeds"]) == {"alone", "agreement", "refused in first 10"}


def test_people_who_only_refuse_teach_too(folder: Path, tmp_path: Path, events: list[FeedbackEvent]) -> None:
    only = [
        replace(event, feedback=Feedback(event.feedback.shown, refused=frozenset(event.feedback.shown[:1])))
        for event in events
        if event.id != "idle"
    ]
    for name in ("ca-pg", "top1-pg", "nll-only"):
        found = run(folder, tmp_path / name, recipe(folder, {"name": name}), events=only)
        steps = [line for line in log_of(tmp_path / name) if "kind" not in line]
        assert all(line["nll"] == 0.0 for line in steps)
        assert all((line["grad norm"] == 0.0) == (name == "nll-only") for line in steps)
        assert set(found.figures["mean of seeds"]) == {"agreement", "refused in first 10"}


@pytest.mark.parametrize(
    ("kept", "more", "told"),
    [
        (0, {}, "0 turns to learn from and 0 held-out ones; of its 0 events were left or taken out: nothing"),
        (1, {}, "change judge.holdout"),
        (8, {"judge": {"importance_clip": 1.0}, "learner": {"name": "ca-pg"}}, "8 no log_prob of the set"),
        (9, {"learner": {"name": "dpo"}}, "dpo learns from two or more differently rewarded sets .* none of the"),
        (9, {"learner": {"name": "mult-dpo"}}, 'mult-dpo with pairs = "sets" learns from two'),
    ],
)
def test_events_that_cannot_teach_are_refused_with_a_remedy(
    folder: Path, tmp_path: Path, events: list[FeedbackEvent], kept: int, more: dict[str, Any], told: str
) -> None:
    more = dict(more)
    bare = [replace(event, log_prob=None) for event in events[:kept]]
    with pytest.raises(InputError, match=told):
        run(folder, tmp_path / "run", recipe(folder, more.pop("learner", None), **more), events=bare)


def test_a_wrong_line_stops_the_run_and_names_itself(folder: Path, tmp_path: Path, events: list[FeedbackEvent]) -> None:
    write_events(folder / "events.jsonl", events)
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"id": "x", "shown": ["a"]}\n')
    with pytest.raises(InputError, match=f"line {len(events) + 1}, field 'conversation'"):
        run(folder, tmp_path / "run", recipe(folder))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SecondDomain, list[Example]]:
    """A fine-tuned bundle, and the first turns of players that it has not seen."""
    root, domain = tmp_path_factory.mktemp("tuned"), second_domain(0)
    write_jsonl(root / "data", items=domain.items, splits={})
    fine_tuned(root, domain, WIDER)
    return root, domain, first_turns([*domain.train[500:], *domain.valid, *domain.test])


def learned(folder: Path, out: Path, events: list[FeedbackEvent]) -> dict[str, Any]:
    """The figures of a run in which half of the conversations teach."""
    what = recipe(
        folder,
        judge={"holdout": 0.5},
        loop={
            "iterations": 16, "batch": 48, "proposal": 120, "learning_rate": 2e-3, "warmup": 4, "validate_every": 16,
            "patience": None,
        },
        data={"name": "games", "folder": str(folder / "data"), "report_turns": 1000},
    )  # fmt: skip
    given = Resources(bundle=folder / "bundle", cache=folder / "cache.sqlite", embedder=WIDER, events=events)
    found: dict[str, Any] = align(what, out=out, resources=given).figures["seeds"]["0"]
    return found


@pytest.mark.slow
def test_held_out_people_agree_more_and_see_less_that_they_refuse(
    tuned: tuple[Path, SecondDomain, list[Example]], tmp_path: Path
) -> None:
    """Players like older games, which no label of fine-tuning shows. Half of the conversations teach, half measure.

    The control learns from the same sets with verdicts that hang on nothing.
    """
    root, domain, examples = tuned
    drawn = shown_sets(root / "bundle", WIDER, domain, examples, proposal=120, n=10)
    honest = reacted(drawn, domain, per_decade=1.5)
    found, control = learned(root, tmp_path / "a", honest), learned(root, tmp_path / "b", shuffled(honest))
    assert found["agreement"]["low"] > 0.05
    assert found["alone"]["high"] > 0  # whether it gains hangs on the seed of fine-tuning
    assert found["refused in first 10"]["high"] < 0
    assert control["agreement"]["high"] < found["agreement"]["low"]


@pytest.mark.slow
def test_where_the_first_items_were_shown_ndcg_favours_the_policy_that_showed_them(
    tuned: tuple[Path, SecondDomain, list[Example]], tmp_path: Path
) -> None:
    """As docs/feedback.md warns: what people like is then always among the old policy's first ten."""
    root, domain, examples = tuned
    drawn = shown_sets(root / "bundle", WIDER, domain, examples, proposal=120, n=10, draws=False)
    found = learned(root, tmp_path / "run", reacted(drawn, domain, per_decade=0.7))
    assert found["agreement"]["low"] > 0
    assert found["alone"]["high"] < 0


def shuffled(events: Sequence[FeedbackEvent]) -> list[FeedbackEvent]:
    """As many verdicts on each set, on any of its items."""
    rng = np.random.default_rng(1)
    found = []
    for event in events:
        one, two, three = (event.feedback.shown[at] for at in rng.permutation(len(event.feedback.shown))[:3])
        feedback = Feedback(event.feedback.shown, frozenset({one}), frozenset({two}), frozenset({three}))
        found.append(replace(event, feedback=feedback))
    return found


def fine_tuned(folder: Path, domain: SecondDomain, embedder: HashEmbedder) -> None:
    """A bundle that has learned from other players' conversations."""
    layout = load_layout("generic")
    table = ItemTable.of(list(domain.items), embedder.embed([layout.render(item) for item in domain.items]))
    data = conversation_data(domain.train[:500], table, embedder)
    model = Retriever(RetrieverConfig(text_dimension=64, width=32, item_hidden=64, blocks=1), seed=0)
    task = NextMention(model, table, data, np.arange(len(table)), FinetuneConfig(negatives=0))
    train(model, task, TrainerConfig(epochs=8, learning_rate=3e-3, patience=None))
    save_retriever(folder / "bundle", model, embedder=embedder.name, training={})
