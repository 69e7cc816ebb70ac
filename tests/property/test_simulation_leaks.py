"""Whatever a catalogue holds and whatever is said: no message of a seeker gives the title away."""

from __future__ import annotations

import asyncio
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue.evidence import lexicon
from rarec.catalogue.folding import folded_words
from rarec.simulation import (
    ScriptedSeeker,
    SimulationSettings,
    Target,
    TitleWords,
    World,
    asimulate,
    profile_of,
)
from rarec.types import Conversation, Filters, Item, ItemId, ParseReport, RankedItem, Recommendation, Usage

LIMITED = settings(deadline=None, max_examples=60)

COMMON = ("It", "Her", "Up", "The Thing", "Something", "I Want It", "Looking for You", "1980s", "Drama", "A")
ODD = ("!!!", "…", "Ash & Honey", "Moth: Part II", "Léon", "x²", "活着", "L'Été", "1987", "$wish")
WORDS = st.sampled_from([*COMMON, *ODD, "the", "of", "copper", "Moth"])
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=25)
TITLES = (st.lists(WORDS, min_size=1, max_size=3).map(" ".join) | WORDS | ANY_TEXT).filter(str.strip)
VALUES = st.lists(WORDS | ANY_TEXT, max_size=3).map(tuple)
NAMES = st.sampled_from(["genres", "directors", "cast", "mood", "aka", "keywords", "made_in"])


@st.composite
def catalogues(draw: st.DrawFn) -> list[Item]:
    return [
        Item(
            ItemId(f"id{number}"),
            draw(TITLES),
            draw(ANY_TEXT | WORDS),
            draw(st.none() | st.integers(1900, 2030)),
            draw(st.dictionaries(NAMES, VALUES, max_size=4)),
            draw(st.floats(0, 100)),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


def leaked(item: Item, text: str) -> set[str]:
    """Title words in a text, found without the code under test: those that are not function words, if there are."""
    function, said = lexicon().function, set(folded_words(text))
    words = folded_words(item.title)
    telling = {w for w in words if w not in function} or {w for w in words if w not in ("the", "a", "an")} or set(words)
    literal = item.title.strip().casefold()
    if not words and literal in text.casefold():
        return {literal}
    return telling & said


class ShowsTheRest:
    """Shows everything but the target, and asks."""

    def __init__(self, world: World, target: ItemId) -> None:
        self.others = [item for item in world.items.values() if item.id != target]
        self.conversation = Conversation()

    async def areply(
        self, conversation: Conversation, *, n: int = 10, filters: Filters | None = None, words: bool = True
    ) -> Recommendation:
        self.conversation = conversation
        ranked = tuple(RankedItem(item, 1.0, "", 1) for item in self.others[:n])
        reply = "Which genre, director, year or mood? " + " ".join(item.title for item in self.others)
        return Recommendation(ranked, reply, (), Usage(), {}, ParseReport())


@LIMITED
@given(items=catalogues(), seed=st.integers(0, 99), likes=st.booleans())
def test_no_message_of_a_scripted_seeker_gives_the_title_away(items: list[Item], seed: int, likes: bool) -> None:
    world = World(items)
    target = Target("t", items[0].id, tuple(item.id for item in items[1:]) if likes else ())
    recommender = ShowsTheRest(world, target.item)
    chosen = SimulationSettings(turns=4, n=3, seed=seed, samples=2)
    asyncio.run(asimulate(recommender, [target], world=world, seekers=ScriptedSeeker, settings=chosen))
    said = [turn.text for turn in recommender.conversation.turns if turn.role == "user"]
    assert len(said) == 4
    for text in said:
        assert leaked(items[0], text) == set()


@LIMITED
@given(items=catalogues(), text=ANY_TEXT | st.lists(WORDS | ANY_TEXT, max_size=6).map(" ".join))
def test_nothing_that_a_model_writes_gives_the_title_away(items: list[Item], text: str) -> None:
    for item in items:
        for written in (text, f"I mean {item.title}!", f"{text}-{item.title.upper()}'s", text + item.title):
            blanked = TitleWords(item).blank(written)
            assert leaked(item, blanked.text) == set()
            assert TitleWords(item).blank(blanked.text).words == 0, "what is left gives nothing away"


@LIMITED
@given(items=catalogues())
def test_a_profile_holds_no_title_word_and_no_id(items: list[Item]) -> None:
    world = World(items)
    for item in items:
        profile = profile_of(item, world.counts, likes=[other for other in items if other is not item])
        for text in (*(aspect.value for aspect in profile.aspects), *profile.likes):
            assert leaked(item, text) == set()
            assert item.id not in folded_words(text)
            assert not any(unicodedata.category(c) == "Cc" for c in text)
