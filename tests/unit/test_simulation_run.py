"""The judge, the floors, the records and the figures, with recommenders that do as they are told."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rarec.errors import InputError, LLMUnavailable
from rarec.simulation import (
    Kept,
    SimulationResult,
    SimulationSettings,
    Target,
    WordMatch,
    World,
    draw_targets,
    llm_seekers,
    read_transcripts,
    simulate,
    summarise,
    targets_of_examples,
)
from rarec.simulation.records import appending
from rarec.testing import ScriptedLLM
from rarec.types import Conversation, Filters, Item, ItemId, ParseReport, RankedItem, Recommendation, Turn, Usage

WORLD = World(
    Item(
        ItemId(f"i{n}"), f"Title{n:03d} Word{n:03d}", year=1950 + n, popularity=float(200 - n),
        attributes={"genres": (("Drama", "Comedy", "Horror")[n % 3],), "place": (f"town {n % 7}",)},
    )
    for n in range(100)
)  # fmt: skip
Choose = Callable[[Conversation, int, frozenset[ItemId]], Sequence[ItemId]]


class Shows:
    """A recommender that shows what a function chooses."""

    def __init__(self, choose: Choose, *, reply: str = "Look.", degraded: bool = False) -> None:
        self.choose, self.reply, self.degraded = choose, reply, degraded
        self.seen: list[tuple[Conversation, frozenset[ItemId]]] = []

    async def areply(
        self, conversation: Conversation, *, n: int = 10, filters: Filters | None = None, words: bool = True
    ) -> Recommendation:
        excluded = filters.exclude if filters else frozenset()
        self.seen.append((conversation, excluded))
        ids = self.choose(conversation, n, excluded)
        ranked = tuple(RankedItem(WORLD.items[i], 1.0, "", 1) for i in ids)
        return Recommendation(
            ranked, self.reply, (), Usage(1, 10, 5), {}, ParseReport(), degraded=self.degraded
        )  # fmt: skip


TARGETS = draw_targets(WORLD, 30, seed=5)
BY_ID = {target.id: target.item for target in TARGETS}


def in_order(conversation: Conversation, n: int, excluded: frozenset[ItemId]) -> list[ItemId]:
    return [i for i in WORLD.items if i not in excluded][:n]


def always(conversation: Conversation, n: int, excluded: frozenset[ItemId]) -> list[ItemId]:
    return [BY_ID[conversation.id]]


def never(conversation: Conversation, n: int, excluded: frozenset[ItemId]) -> list[ItemId]:
    return [i for i in WORLD.items if i != BY_ID[conversation.id] and i not in excluded][:n]


def values(figures: Sequence[Any]) -> list[float]:
    return [figure.value for figure in figures]


def test_a_recommender_that_shows_the_target_succeeds_at_once() -> None:
    result = simulate(Shows(always), TARGETS, world=WORLD)
    assert values(result.system("recommender").success) == [1.0] * 5
    assert result.system("recommender").length.value == 1.0
    assert result.messages == 30


def test_one_that_never_does_gets_nothing_and_the_longest_dialogues() -> None:
    result = simulate(Shows(never), TARGETS, world=WORLD, settings=SimulationSettings(turns=3))
    assert values(result.system("recommender").success) == [0.0] * 3
    assert result.system("recommender").length.value == 3.0
    assert result.over["random"]["success"].value == -result.system("random").success[-1].value  # type: ignore[operator]


def test_popularity_order_as_a_recommender_equals_its_floor() -> None:
    result = simulate(Shows(in_order), TARGETS, world=WORLD, settings=SimulationSettings(turns=6, n=7))
    asked, floor = result.system("recommender"), result.system("popularity")
    assert asked.success == floor.success
    assert asked.length == floor.length
    assert asked.bands == floor.bands
    assert result.over["popularity"]["success"].value == 0.0
    assert 0 < floor.success[-1].value < 1  # type: ignore[operator]


def test_random_order_has_its_closed_form() -> None:
    targets = [Target(f"t{n}", ItemId(f"i{n % 100}")) for n in range(4000)]
    ranks = np.array([WORLD.random_rank(target, seed=1) for target in targets])
    assert ranks.min() == 1
    assert ranks.max() == 100
    for turn in (1, 2, 5):
        expected = turn * 5 / 100
        share = float(np.mean(ranks <= turn * 5))
        assert abs(share - expected) < 3 * (expected * (1 - expected) / 4000) ** 0.5
    chance = simulate(Shows(never), TARGETS, world=WORLD).chance
    assert chance == pytest.approx((0.05, 0.10, 0.15, 0.20, 0.25))
    likes = tuple(ItemId(f"i{n}") for n in range(1, 91))
    assert max(WORLD.random_rank(Target(f"t{n}", ItemId("i0"), likes), seed=1) for n in range(300)) == 10


def test_floors_leave_out_what_is_liked() -> None:
    assert WORLD.popularity_rank(Target("t", ItemId("i9"))) == 10
    assert WORLD.popularity_rank(Target("t", ItemId("i9"), (ItemId("i2"), ItemId("i2"), ItemId("i50")))) == 9


def test_shown_items_and_likes_are_excluded_from_then_on() -> None:
    recommender = Shows(in_order)
    target = Target("t", ItemId("i99"), (ItemId("i0"),))
    simulate(recommender, [target], world=WORLD, settings=SimulationSettings(turns=3, n=2))
    assert [sorted(excluded) for _, excluded in recommender.seen] == [
        ["i0"], ["i0", "i1", "i2"], ["i0", "i1", "i2", "i3", "i4"],
    ]  # fmt: skip
    last = recommender.seen[-1][0]
    assert [turn.role for turn in last.turns] == ["user", "assistant"] * 2 + ["user"]
    assert "Title000 Word000" in last.turns[0].text


def test_titles_that_the_reply_names_are_mentions_as_in_a_chat() -> None:
    reply = "Try Title001 Word001, or Title000 Word000."
    recommender = Shows(in_order, reply=reply)
    simulate(recommender, [Target("t", ItemId("i99"))], world=WORLD, settings=SimulationSettings(turns=2))
    mentions = recommender.seen[-1][0].turns[1].mentions
    assert mentions is not None
    assert [m.item for m in mentions] == ["i1", "i0"]
    assert [reply[m.span[0] : m.span[1]] for m in mentions if m.span] == ["Title001 Word001", "Title000 Word000"]


def test_only_the_first_n_count() -> None:
    recommender = Shows(lambda conversation, n, excluded: [*never(conversation, n, excluded), BY_ID[conversation.id]])
    result = simulate(recommender, TARGETS, world=WORLD, settings=SimulationSettings(turns=1))
    assert result.system("recommender").success[0].value == 0.0


def test_degraded_answers_and_tokens_are_counted() -> None:
    result = simulate(Shows(never, degraded=True), TARGETS[:4], world=WORLD, settings=SimulationSettings(turns=2))
    assert result.degraded == 1.0
    assert (result.recommender.calls, result.recommender.prompt_tokens) == (8, 80)
    assert result.seeker.calls == 0


def test_bands_add_up_and_equal_popularities_share_one() -> None:
    result = simulate(Shows(in_order), TARGETS, world=WORLD)
    bands = result.system("popularity").bands
    assert sum(band.n for band in bands) == 30
    assert bands[0].figures["success"].value == 1.0
    assert bands[2].figures["success"].value == 0.0
    level = World(Item(ItemId(f"e{n}"), f"Even {n}") for n in range(20))
    assert {level.band(item) for item in level.items} == {"top tenth"}


def test_the_interval_is_by_cluster() -> None:
    targets = [replace(target, cluster="same") for target in TARGETS]
    result = simulate(Shows(in_order), targets, world=WORLD)
    figure = result.system("popularity").success[-1]
    assert figure.low == figure.high == pytest.approx(figure.value)
    assert result.clusters == 1


def test_dialogues_at_once_give_the_same_result() -> None:
    one = simulate(Shows(in_order), TARGETS, world=WORLD)
    assert simulate(Shows(in_order), TARGETS, world=WORLD, settings=SimulationSettings(concurrency=8)) == one


def test_word_match_ranks_by_rare_words_then_popularity_and_never_shows_what_is_excluded() -> None:
    matching = WordMatch(WORLD)
    asked = Conversation((Turn("user", "Drama of the 2010s, please, in town 3"), Turn("assistant", "comedy")))

    def shown(n: int, **excluded: frozenset[ItemId]) -> list[str]:
        answer = asyncio.run(matching.areply(asked, n=n, filters=Filters(**excluded)))
        return [ranked.item.id for ranked in answer.items]

    assert shown(1) == ["i66"]  # the drama of 2016 in town 3
    assert shown(1, exclude=frozenset({ItemId("i66")})) != ["i66"]
    assert len(shown(500, exclude=frozenset({ItemId("i66")}))) == 99
    empty = asyncio.run(matching.areply(Conversation(), n=2))
    assert [ranked.item.id for ranked in empty.items] == ["i0", "i1"]
    assert simulate(matching, TARGETS, world=WORLD).system("recommender").success[-1].value > 0.8  # type: ignore[operator]


# targets


def test_targets_are_different_items_and_follow_the_seed() -> None:
    assert len({target.item for target in TARGETS}) == 30
    assert draw_targets(WORLD, 30, seed=5) == TARGETS
    assert draw_targets(WORLD, 30, seed=6) != TARGETS


def test_popular_targets_are_drawn_by_popularity() -> None:
    world = World(
        Item(ItemId(f"p{n}"), f"Title {n}", popularity=100.0 if n < 10 else 1.0 if n < 90 else 0) for n in range(100)
    )
    drawn = [target.item for seed in range(40) for target in draw_targets(world, 2, by="popular", seed=seed)]
    assert sum(int(item[1:]) < 10 for item in drawn) > 60
    with pytest.raises(InputError, match="out of 90 items; with 'uniform'"):
        draw_targets(world, 91, by="popular")


@pytest.mark.parametrize("count", [0, 101])
def test_more_targets_than_items_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="different targets out of 100 items"):
        draw_targets(WORLD, count)


@pytest.mark.parametrize(
    ("targets", "complaint"),
    [
        ([], "no targets"),
        ([Target("t", ItemId("none"))], "'t' names the item 'none'"),
        ([Target("t", ItemId("i1"), (ItemId("none"),))], "'t' names the item 'none'"),
        ([Target("t", ItemId("i1")), Target("t", ItemId("i2"))], "two dialogues have the id 't'"),
        ([Target("t", ItemId("i1"), (ItemId("i1"),))], "likes it already"),
    ],
)
def test_impossible_targets_are_refused_by_name(targets: list[Target], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        simulate(Shows(never), targets, world=WORLD)


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"n": 0}, {"samples": 0}, {"concurrency": 0}, {"turns": True}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))} must be a whole number"):
        simulate(Shows(never), TARGETS, world=WORLD, settings=SimulationSettings(**wrong))


def test_recorded_examples_give_targets_with_likes() -> None:
    from rarec.conversations import Example

    example = Example(
        "e1", 0, "dialogue-9", "3", Conversation(), (ItemId("i1"), ItemId("i2"), ItemId("gone"), None),
        frozenset({ItemId("i2")}), (ItemId("i2"), ItemId("away")),
    )  # fmt: skip
    assert targets_of_examples([example], WORLD) == (Target("e1/0", ItemId("i1"), (ItemId("i2"),), "dialogue-9"),)


# records


class Stopped(Exception):
    """Stands for whatever ends a run."""


def stopping_after(answers: int) -> Shows:
    recommender = Shows(in_order)

    def choose(conversation: Conversation, n: int, excluded: frozenset[ItemId]) -> Sequence[ItemId]:
        if len(recommender.seen) > answers:
            raise Stopped
        return in_order(conversation, n, excluded)

    recommender.choose = choose
    return recommender


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "transcripts.jsonl"


def test_a_run_that_was_stopped_goes_on_and_equals_one_that_was_not(file: Path) -> None:
    whole = simulate(Shows(in_order), TARGETS, world=WORLD)
    with pytest.raises(Stopped):
        simulate(stopping_after(60), TARGETS, world=WORLD, kept=Kept(file))
    before = len(read_transcripts(file)[1])
    assert 0 < before < 30
    told: list[tuple[int, int]] = []
    rest = Shows(in_order)
    kept = Kept(file, lambda done, total: told.append((done, total)))
    assert simulate(rest, TARGETS, world=WORLD, kept=kept) == whole
    assert told == [(done, 30) for done in range(before, 31)]
    assert len({conversation.id for conversation, _ in rest.seen}) == 30 - before
    assert summarise(*read_transcripts(file)) == whole


def test_an_unfinished_line_is_run_again(file: Path) -> None:
    whole = simulate(Shows(in_order), TARGETS, world=WORLD, kept=Kept(file))
    content = file.read_bytes()
    for cut in (1, 40, len(content) - len(content.split(b"\n")[0]) - 1, len(content) - 3, len(content)):
        file.write_bytes(content[: len(content) - cut])
        assert simulate(Shows(in_order), TARGETS, world=WORLD, kept=Kept(file)) == whole
        assert summarise(*read_transcripts(file)) == whole


@pytest.mark.parametrize(
    ("settings", "name"), [(SimulationSettings(seed=1), "seed"), (SimulationSettings(turns=4), "turns")]
)
def test_another_run_does_not_go_on_in_the_file(file: Path, settings: SimulationSettings, name: str) -> None:
    simulate(Shows(in_order), TARGETS, world=WORLD, kept=Kept(file))
    with pytest.raises(InputError, match=f"of another run: {name} is"):
        simulate(Shows(in_order), TARGETS, world=WORLD, settings=settings, kept=Kept(file))
    with pytest.raises(InputError, match="of another run"):
        simulate(Shows(in_order), TARGETS[:-1], world=WORLD, kept=Kept(file))


def test_two_runs_do_not_write_one_file(file: Path) -> None:
    def again(conversation: Conversation, n: int, excluded: frozenset[ItemId]) -> list[ItemId]:
        with pytest.raises(InputError, match=r"another run is writing '.*'; wait for it"), appending(file, header):
            pass
        return in_order(conversation, n, excluded)

    simulate(Shows(in_order), TARGETS[:1], world=WORLD, kept=Kept(file))
    header, _records = read_transcripts(file)
    file.unlink()
    simulate(Shows(again), TARGETS[:1], world=WORLD, kept=Kept(file))
    assert len(read_transcripts(file)[1]) == 1


def test_a_damaged_file_names_the_line(file: Path) -> None:
    simulate(Shows(in_order), TARGETS[:3], world=WORLD, kept=Kept(file))
    lines = file.read_text().splitlines()
    record = json.loads(lines[2])
    lines[2] = json.dumps({**record, "popularity_rank": 0})
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"line 3: popularity_rank"):
        read_transcripts(file)
    with pytest.raises(InputError, match="cannot read"):
        read_transcripts(file.with_name("none"))
    file.write_text("")
    with pytest.raises(InputError, match="no header"):
        read_transcripts(file)


def test_figures_refuse_what_cannot_be(file: Path) -> None:
    simulate(Shows(in_order), TARGETS[:3], world=WORLD, kept=Kept(file))
    header, records = read_transcripts(file)
    with pytest.raises(InputError, match="comes twice"):
        summarise(header, [*records, records[0]])
    with pytest.raises(InputError, match="no dialogue is finished"):
        summarise(header, [])
    with pytest.raises(InputError, match="more than 2"):
        summarise(header.model_copy(update={"turns": 2}), records)


# a language model as the seeker


def test_a_model_that_guesses_the_title_is_blanked_and_counted() -> None:
    target = Target("t", ItemId("i42"))
    llm = ScriptedLLM(["Is there Title042 Word042?", "The word042 one!", "Something else."])
    recommender = Shows(in_order)
    settings = SimulationSettings(turns=3, n=2)
    result = simulate(recommender, [target], world=WORLD, seekers=llm_seekers(llm), settings=settings)
    said = [turn.text for turn in recommender.seen[-1][0].turns if turn.role == "user"]
    assert said == ["Is there …?", "The … one!", "Something else."]
    assert (result.blanked, result.messages) == (2, 3)
    assert (result.seeker.calls, result.failed) == (3, 0)
    for request in llm.requests:
        assert not any(word in m.content for m in request.messages for word in ("Title042", "Word042", "i42"))


def test_a_model_that_fails_ends_its_dialogue_as_failed_and_is_tried_again_on_the_next_run(file: Path) -> None:
    def run(llm: ScriptedLLM) -> SimulationResult:
        settings = SimulationSettings(turns=2)
        return simulate(
            Shows(never), TARGETS[:3], world=WORLD, seekers=llm_seekers(llm), settings=settings, kept=Kept(file)
        )

    first = run(ScriptedLLM(["a", LLMUnavailable("down"), "a", "b", "a", "b"]))
    assert first.failed == 1
    assert first.system("recommender").length.value == 2.0
    assert read_transcripts(file)[1][0].reason == "LLMUnavailable: down"
    again = ScriptedLLM(["a", "b"])
    second = run(again)
    assert len(again.requests) == 2
    assert (second.failed, second.dialogues) == (0, 3)


def test_a_model_that_is_down_ends_the_run(file: Path) -> None:
    llm = ScriptedLLM([LLMUnavailable("no route")] * 99)
    with pytest.raises(LLMUnavailable, match=r"5 dialogues in a row.*no route"):
        simulate(Shows(never), TARGETS, world=WORLD, seekers=llm_seekers(llm), kept=Kept(file))
    assert len(llm.requests) == 5


def test_what_a_model_writes_is_cut_to_one_line() -> None:
    recommender = Shows(never)
    llm = ScriptedLLM(["a\nb\x00 <conversation>" + "c" * 5000])
    simulate(recommender, TARGETS[:1], world=WORLD, seekers=llm_seekers(llm), settings=SimulationSettings(turns=1))
    said = recommender.seen[0][0].turns[0].text
    assert said.startswith("a b ‹conversation›ccc")
    assert len(said) <= 600
