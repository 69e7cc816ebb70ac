"""Whatever a judge writes can be read; what it thinks of an item does not hang on the company or the place."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue.folding import folded_words
from rarec.prompt import parse
from rarec.testing.judges import (
    MALFORMED,
    Affinity,
    Asked,
    Draft,
    Era,
    Favourites,
    Judged,
    Memory,
    Part,
    People,
    Popularity,
    Reading,
    Shared,
    Taste,
    Words,
)
from rarec.testing.judges.faults import cut, written
from rarec.types import Candidate, Conversation, Item, ItemId, Mention, RankingTask, Turn

LIMITED = settings(deadline=None, max_examples=60)
UNITS = st.floats(0, 1, exclude_max=True)
COLOURS = ("red", "green", "blue", "grey")
MAKERS = ("Ada", "Ben", "Cleo")


@cache
def catalogue() -> tuple[Item, ...]:
    rng = np.random.default_rng(3)

    def some(values: tuple[str, ...], n: int) -> tuple[str, ...]:
        return tuple(values[at] for at in rng.choice(len(values), size=n, replace=False))

    return tuple(
        Item(
            ItemId(f"i{at}"),
            f"Thing {at}",
            " ".join(some(("calm", "loud", "round", "sharp", "old", "soft"), 3)),
            None if at % 7 == 0 else int(rng.integers(1950, 2020)),
            {"colours": some(COLOURS, 2), "makers": some(MAKERS, 1)},
            float(rng.integers(0, 50)),
        )
        for at in range(30)
    )


@cache
def memory() -> Memory:
    return Memory.of(catalogue(), until=2005)


PARTS: tuple[Part, ...] = (
    Affinity(),
    Words(),
    Asked(),
    Shared(1.0, ("colours",)),
    People(("makers",)),
    Popularity(),
    Era(),
    Era(years=(1960, 1975), width=5),
    Favourites("colours", frozenset({"red"})),
    Judged(1.0, lambda task: [float(len(c.item.text)) for c in task.candidates]),
)


@st.composite
def tasks(draw: st.DrawFn) -> RankingTask:
    items = catalogue()
    picked = draw(st.lists(st.sampled_from(items), min_size=3, max_size=12, unique_by=lambda i: i.id))
    named = draw(st.lists(st.sampled_from(items), max_size=4))
    feelings = draw(st.lists(st.sampled_from(["liked", "disliked", "mentioned"]), min_size=4, max_size=4))
    words = draw(st.lists(st.sampled_from([*COLOURS, "calm", "sharp", "please", "thing"]), max_size=6))
    mentions = tuple(Mention(item.id, feeling) for item, feeling in zip(named, feelings, strict=False))
    conversation = Conversation((Turn("user", " ".join(words), mentions),))
    return RankingTask(conversation, {i.id: i for i in named}, tuple(Candidate(i, 0.0) for i in picked), len(picked))


def scores(taste: Taste, task: RankingTask) -> dict[ItemId, float]:
    values = taste.scores(Reading(task, memory()), seed=1, request="r")
    return {c.item.id: float(v) for c, v in zip(task.candidates, values, strict=True)}


@LIMITED
@given(data=st.data(), offered=st.integers(1, 30), u=UNITS, form=st.sampled_from(MALFORMED))
def test_every_malformed_answer_is_read_as_n_different_offered_items(
    data: st.DataObject, offered: int, u: float, form: object
) -> None:
    n = data.draw(st.integers(1, offered))
    numbers = tuple(data.draw(st.permutations(range(1, offered + 1)))[:n])
    draft = Draft(numbers, f"Take [{numbers[0]}].", offered, u)
    text = form(draft)  # type: ignore[operator]
    for given_text in (text, cut(written(draft), u)):
        parsed = parse(given_text, offered=offered, n=n)
        assert len(set(parsed.order)) == n
        assert set(parsed.order) <= set(range(offered))
        assert parsed.report.repaired
    assert parse(written(draft), offered=offered, n=n).order == tuple(number - 1 for number in numbers)
    assert not parse(written(draft), offered=offered, n=n).report.repaired


@LIMITED
@given(task=tasks(), data=st.data())
def test_without_noise_a_score_hangs_on_neither_company_nor_place(task: RankingTask, data: st.DataObject) -> None:
    taste = Taste(PARTS, whim=0.7, guess=0.7)
    kept = data.draw(st.lists(st.sampled_from(task.candidates), min_size=1, unique_by=lambda c: c.item.id))
    other = RankingTask(task.conversation, task.mentioned, tuple(kept), 1)
    whole = scores(taste, task)
    for item, score in scores(taste, other).items():
        assert score == whole[item]


WORDS = st.sampled_from(("sea", "seas", "deep", "Über", "one", "1"))
PHRASES = st.lists(WORDS, max_size=3).map(" ".join)


@LIMITED
@given(st.lists(PHRASES, max_size=4), st.lists(PHRASES, max_size=4))
def test_asked_counts_the_values_whose_words_were_said_in_a_row(said: list[str], values: list[str]) -> None:
    item = Item(ItemId("a"), "A", attributes={"tags": tuple(values)})
    talk = Conversation(tuple(Turn("user", text, ()) for text in said))
    found = Asked().values(Reading(RankingTask(talk, {}, (Candidate(item, 0.0),), 1), Memory.of(())))
    spoken = [word for text in said for word in folded_words(text)]
    count = 0
    for value in values:
        words = folded_words(value)
        forms = [words, [*words[:-1], words[-1] + "s"]] if words else []
        runs = [spoken[start : start + len(words)] for start in range(len(spoken))]
        count += any(form in runs for form in forms)
    assert found.tolist() == [1.0 - 0.5**count]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
@LIMITED
@given(task=tasks(), low=st.floats(-3, 3), more=st.floats(0.1, 3))
def test_more_weight_never_makes_the_place_of_a_part_s_favourite_worse(
    part: Part, task: RankingTask, low: float, more: float
) -> None:
    from dataclasses import replace

    values = part.values(Reading(task, memory()))
    assert values.shape == (len(task.candidates),)
    assert np.isfinite(values).all()
    best = task.candidates[int(np.argmax(values))].item.id

    def ahead(weight: float) -> int:
        weighed: Part = replace(part, weight=weight)  # type: ignore[type-var]
        found = scores(Taste((weighed,), whim=1.0), task)
        return sum(score > found[best] + 1e-9 for score in found.values())

    assert ahead(low + more) <= ahead(low)
