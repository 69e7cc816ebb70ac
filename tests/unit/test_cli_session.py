from collections.abc import Callable, Sequence

import pytest

from rarec.cli.session import Session
from rarec.constraints import Vocabulary, understand
from rarec.errors import InputError
from rarec.prompt.naming import named_items
from rarec.types import (
    Conversation,
    Filters,
    Item,
    ItemId,
    Mention,
    ParseReport,
    RankedItem,
    Recommendation,
    Usage,
)

TITLES = ("Salt and Rye", "Her", "Nine Lanterns", "Nine Lanterns Again", "Blue Tram")


def ranked(titles: Sequence[str]) -> tuple[RankedItem, ...]:
    return tuple(RankedItem(Item(ItemId(t.casefold()), t), 1.0, "", n) for n, t in enumerate(titles, start=1))


class Waiter:
    """Recommends the first titles that were not mentioned, names the first two, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Conversation, int, Filters | None]] = []
        self.fails = False

    def reply(
        self,
        conversation: Conversation,
        *,
        n: int = 10,
        filters: Filters | None = None,
        words: bool = True,
        on_text: Callable[[str], None] | None = None,
    ) -> Recommendation:
        self.asked.append((conversation, n, filters))
        if self.fails:
            raise InputError("out of order")
        mentioned = {m.item for m in conversation.mentions()}
        items = ranked([t for t in TITLES if t.casefold() not in mentioned][:n])
        reply = "Try " + " or ".join(r.item.title for r in items[:2]) + "."
        if on_text:
            on_text(reply)
        return Recommendation(items, reply, (), Usage(), {}, ParseReport())


def refuse_colours(filters: Filters) -> None:
    if "colour" in filters.any_of:
        raise InputError("no item has the attribute 'colour'")


@pytest.fixture
def waiter() -> Waiter:
    return Waiter()


@pytest.fixture
def session(waiter: Waiter) -> Session:
    return Session(waiter, n=3, check_filters=refuse_colours)


def test_turns_alternate_and_named_items_are_mentions(session: Session, waiter: Waiter) -> None:
    pieces: list[str] = []
    session.ask("Something quiet?", on_text=pieces.append)
    assert [(t.role, t.text) for t in session.conversation.turns] == [
        ("user", "Something quiet?"),
        ("assistant", "Try Salt and Rye or Her."),
    ]
    assert pieces == ["Try Salt and Rye or Her."]
    assert session.conversation.turns[0].mentions is None, "the recommender links it"
    assert session.conversation.turns[1].mentions == (
        Mention(ItemId("salt and rye"), span=(4, 16)),
        Mention(ItemId("her"), span=(20, 23)),
    )
    second = session.ask("And?")
    assert [r.item.title for r in second.items] == ["Nine Lanterns", "Nine Lanterns Again", "Blue Tram"]
    assert len(waiter.asked[1][0].turns) == 3


def test_feelings_are_turns_that_the_next_answer_sees(session: Session, waiter: Waiter) -> None:
    session.ask("Hello")
    assert not session.waiting
    assert session.feel(3, "liked").item.title == "Nine Lanterns"
    assert session.feel(1, "disliked").item.title == "Salt and Rye"
    assert session.waiting
    liked, disliked = session.conversation.turns[-2:]
    assert (liked.role, liked.text) == ("user", "I liked Nine Lanterns.")
    assert liked.mentions == (Mention(ItemId("nine lanterns"), "liked", (8, 21)),)
    assert disliked.mentions is not None
    assert disliked.mentions[0].sentiment == "disliked"
    assert disliked.text[slice(*(disliked.mentions[0].span or ()))] == "Salt and Rye"
    answer = session.ask()  # without new words
    assert waiter.asked[-1][0].turns[-1] is disliked
    assert "Nine Lanterns" not in [r.item.title for r in answer.items]
    assert not session.waiting


@pytest.mark.parametrize("number", [0, 4, -1, 99])
def test_a_number_that_was_not_shown(session: Session, number: int) -> None:
    with pytest.raises(InputError, match="nothing was recommended yet"):
        session.item(number)
    session.ask("Hello")
    before = session.conversation
    with pytest.raises(InputError, match="1 to 3"):
        session.feel(number, "liked")
    assert session.conversation == before


def test_a_failure_leaves_the_session_as_it_was(session: Session, waiter: Waiter) -> None:
    session.ask("Hello")
    before, last = session.conversation, session.last
    waiter.fails = True
    with pytest.raises(InputError, match="out of order"):
        session.ask("More")
    assert (session.conversation, session.last) == (before, last)


def test_filters_narrow_and_are_checked(session: Session, waiter: Waiter) -> None:
    session.add_filters(["year>=2000"])
    session.add_filters(["genres=Horror"])
    for wrong in ("colour=red", "year<1900", "nonsense"):
        with pytest.raises(InputError):
            session.add_filters([wrong])
    expected = Filters(any_of={"genres": ("Horror",)}, year_min=2000)
    assert session.filters == expected
    session.ask("Hello")
    assert waiter.asked[-1][1:] == (3, expected)
    session.clear_filters()
    assert session.filters == Filters()


def test_filters_given_at_the_start_are_checked() -> None:
    with pytest.raises(InputError, match="colour"):
        Session(Waiter(), filters=Filters(any_of={"colour": ("red",)}), check_filters=refuse_colours)


def test_length_and_reset(session: Session, waiter: Waiter) -> None:
    session.set_length(1)
    for wrong in (0, -2, 1001):
        with pytest.raises(InputError, match="1 to 1000"):
            session.set_length(wrong)
    session.add_filters(["year>=2000"])
    assert len(session.ask("Hello").items) == 1
    session.reset()
    assert session.conversation == Conversation()
    assert session.last is None
    assert session.filters.year_min == 2000
    assert session.n == 1


def test_an_empty_line_at_the_start_asks_about_nothing(session: Session, waiter: Waiter) -> None:
    session.ask("  ")
    assert waiter.asked[0][0] == Conversation()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("", []),
        ("Nothing here.", []),
        ("nine LANTERNS, really", ["nine lanterns"]),
        ("Nine Lanterns Again!", ["nine lanterns again"]),
        ("Nine Lanterns Again and Nine Lanterns", ["nine lanterns again", "nine lanterns"]),
        ("I would give her a try", []),
        ("Her, and Her again", ["her"]),
        ("Hers and Otherwise", []),
        ("Blue Tramway", []),
        ("Blue Tram, Salt and Rye", ["blue tram", "salt and rye"]),
    ],
)
def test_titles_in_a_reply(reply: str, expected: list[str]) -> None:
    found = named_items(reply, ranked(TITLES))
    assert [m.item for m in found] == expected
    for mention in found:
        assert mention.span is not None
        assert reply[slice(*mention.span)].casefold() == mention.item


def test_titles_with_signs_are_not_patterns() -> None:
    assert [
        m.item for m in named_items("What about (500) Days? Or M*A*S*H.", ranked(["(500) Days", "M*A*S*H", ".*"]))
    ] == [
        "(500) days",
        "m*a*s*h",
    ]


def test_what_was_understood_holds_beside_the_filters_until_it_is_dropped(waiter: Waiter) -> None:
    items = [
        Item(ItemId(str(k)), "x", year=1990, attributes={"mood": (mood,)}) for k, mood in enumerate(("Calm", "Sad"))
    ]
    vocabulary = Vocabulary(items)
    session = Session(waiter, filters=Filters(year_min=1980), understand=lambda talk: understand(talk, vocabulary))
    told: list[str] = []
    session.ask("calm ones, from before 2000", on_understood=lambda c: told.append(c.summary()))
    assert told == ["Calm · 1999 or earlier"]
    assert waiter.asked[-1][2] == Filters({"mood": ("Calm",)}, year_min=1980, year_max=1999)
    assert session.drop(1).label == "Calm"
    session.ask("and not sad")
    assert waiter.asked[-1][2] == Filters(none_of={"mood": ("Sad",)}, year_min=1980, year_max=1999)
    waiter.fails = True
    with pytest.raises(InputError):
        session.ask("calm ones")
    assert [part.label for part in session.understood.parts] == ["1999 or earlier", "not Sad"]
    with pytest.raises(InputError, match="no wish 3"):
        session.drop(3)
    session.clear_filters()
    assert session.understood.parts == ()
    waiter.fails = False
    session.ask("hm")
    assert waiter.asked[-1][2] == Filters()
