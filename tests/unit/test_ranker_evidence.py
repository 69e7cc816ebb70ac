"""What speaks for an item, and that what is said of it is true."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.prompt import reply_text
from rarec.ranker.evidence import Evidence, asked_for, fold, ngrams, owners, pairs, rarity, shared, telling, why, whys
from rarec.ranker.local import write_reply
from rarec.retriever.attributes import is_number
from rarec.types import Candidate, Conversation, Item, ItemId, Mention, RankingTask, Turn


def item(name: str, title: str = "", **attributes: tuple[str, ...]) -> Item:
    return Item(ItemId(name), title or name.title(), attributes=attributes)


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("Drama", "a drama, please", True),
        ("Drama", "I love DRAMAS!", True),
        ("Comedy", "any comedies?", True),
        ("Horrors", "a horror", True),
        ("Science Fiction", "science-fiction about ants", True),
        ("Science Fiction", "the science of fiction", False),
        ("Drama", "dramatic", False),
        ("Émile Zola", "books by émile ZOLA", True),
        ("UK", "from the uk", False),
        ("Its", "it is raining", False),
        ("Gas", "ga ga", False),
        ("1984", "1984", False),
        ("1980s", "something of the 1980s", True),
        ("", "anything", False),
        ("!!!", "!!!", False),
        ("a b c d e", "a b c d e", True),
        ("a b c d e f", "a b c d e f", False),
    ],
)
def test_asked_for(value: str, text: str, expected: bool) -> None:
    assert asked_for(value, ngrams(text)) is expected


def test_ngrams_by_hand() -> None:
    assert ngrams("One, two_three", 2) == {"one", "two", "three", "one two", "two three"}
    assert ngrams("") == ngrams("?!") == frozenset()
    assert fold("  A-b,C ") == "a b c"


def test_only_the_user_is_quoted_and_the_last_word_on_an_item_counts() -> None:
    fern, rose, moss = item("fern"), item("rose"), item("moss")
    conversation = Conversation((
        Turn("user", "quiet", (Mention(fern.id), Mention(rose.id, "liked"))),
        Turn("assistant", "noisy", (Mention(moss.id),)),
        Turn("user", "", (Mention(rose.id, "disliked"), Mention(fern.id, "liked"), Mention(ItemId("gone"), "liked"))),
        Turn("user", "", (Mention(rose.id),)),
    ))  # fmt: skip
    evidence = Evidence.of(conversation, {i.id: i for i in (fern, rose, moss)})
    assert "quiet" in evidence.words
    assert "noisy" not in evidence.words
    assert evidence.welcome == (fern, moss)
    assert evidence.disliked == (rose,)


def test_only_the_latest_text_is_read_and_that_is_quick() -> None:
    conversation = Conversation((Turn("user", "oldest " + "filler " * 200_000 + "newest"),))
    words = Evidence.of(conversation, {}).words
    assert "newest" in words
    assert "oldest" not in words


def test_shared_and_rarity_by_hand() -> None:
    one = item("one", tone=("warm", "dry"), maker=("Ada",))
    two, three = item("two", tone=("dry",), maker=("Ada",)), item("three", maker=("dry",), tone=("dry",))
    assert shared(one, owners([two, three])) == (("tone", "dry", two), ("maker", "Ada", two))
    assert shared(one, {}) == ()
    found = rarity([Candidate(i, 0.0) for i in (one, two, three)])
    assert found["tone", "dry"] == pytest.approx(1 / 3)
    assert found["maker", "Ada"] == 1 / 2
    assert found["tone", "warm"] == 1
    assert rarity([]) == {}


@pytest.mark.parametrize("number", ["60", " 1,500.5", "-3", "$20", "2-4", "12+"])
def test_a_number_is_no_reason(number: str) -> None:
    seen, one = item("seen", minutes=(number,), maker=("Ada",)), item("one", minutes=(number,), maker=("Ada",))
    liked = Turn("user", f"I liked this. {number}", (Mention(seen.id, "liked"),))
    found = Evidence.of(Conversation((liked,)), {seen.id: seen})
    assert why(one, found, {("maker", "Ada"): 0.1}) == f"because it shares Ada (maker) with {seen.title}"
    assert why(item("one", minutes=(number,)), found, {}) == ""
    with_words = item("one", minutes=(f"{number} min",))
    assert "min" in why(with_words, replace(found, mentioned=(replace(seen, attributes=with_words.attributes),)), {})


def test_a_linked_title_is_not_what_the_user_wrote() -> None:
    text = "I loved Slow Brass"
    liked = Turn("user", text, (Mention(ItemId("seen"), "liked", (8, len(text))),))
    assert not Evidence.of(Conversation((liked,)), {}).asked(item("a", tone=("slow", "brass")))


def test_why_prefers_what_was_asked_for_and_rare() -> None:
    seen = item("seen", "Seen One", tone=("dry",), maker=("Ada",))
    best = item("best", tone=("dry", "warm"), maker=("Ada",))
    others = [item(f"o{i}", tone=("dry",)) for i in range(5)]
    rare = rarity([Candidate(i, 0.0) for i in (best, *others)])

    def reason(text: str, *mentions: Mention) -> str:
        return why(best, Evidence.of(Conversation((Turn("user", text, mentions),)), {seen.id: seen}), rare)

    assert reason("something warm") == 'because you wrote "warm"'
    assert reason("", Mention(seen.id)) == "because it shares Ada (maker) with Seen One"
    both = reason("dry ones", Mention(seen.id, "liked"))
    assert both == 'because you wrote "dry", and it shares Ada (maker) with Seen One'
    assert "Seen One" not in reason("dry ones", Mention(seen.id, "disliked"))


def test_why_prefers_values_that_say_more_than_a_country() -> None:
    seen = item("seen", "Seen One", land=("here",), theme=("tides",))
    best = item("best", land=("here",), theme=("tides", "salt"))
    others = [item(f"o{i}", land=("there",), theme=("tides" if i < 2 else f"t{i}",)) for i in range(8)]
    candidates = [Candidate(i, 0.0) for i in (best, *others)]
    assert rarity(candidates)["land", "here"] > rarity(candidates)["theme", "tides"]
    weights = telling(candidates)
    assert weights["theme", "tides"] == pytest.approx(1 / 3 * 8 / 10)
    assert weights["land", "here"] == pytest.approx(2 / 9)
    evidence = Evidence.of(Conversation((Turn("user", "", (Mention(seen.id),)),)), {seen.id: seen})
    assert why(best, evidence, weights) == "because it shares tides (theme) with Seen One"
    assert telling([]) == {}


WORDS = st.sampled_from(["warm", "dry", "Ada", "Bo", "slow", "brass", "[2]", "its", "old oak", "<b>", "a\nb", "[99]"])
ITEMS = st.lists(
    st.builds(
        lambda title, attributes: (title, attributes),
        st.one_of(WORDS, st.text(min_size=1, max_size=20)),
        st.dictionaries(st.sampled_from(["tone", "maker", "of"]), st.lists(WORDS, max_size=3).map(tuple), max_size=3),
    ),
    min_size=1,
    max_size=6,
)
MADE = list[tuple[str, Mapping[str, tuple[str, ...]]]]


def a_task(made: MADE, text: str, spoken: int, sentiment: str) -> RankingTask:
    items = [Item(ItemId(str(i)), title, attributes=values) for i, (title, values) in enumerate(made)]
    mentioned, offered = items[: spoken % len(items)], items[spoken % len(items) :]
    mentions = tuple(Mention(i.id, sentiment) for i in mentioned)  # type: ignore[arg-type]
    conversation = Conversation((Turn("user", text, mentions),)) if text or mentions else Conversation()
    candidates = tuple(Candidate(i, 1.0 - 0.1 * k) for k, i in enumerate(offered))
    return RankingTask(conversation, {i.id: i for i in mentioned}, candidates, len(candidates))


TASKS = st.builds(
    a_task,
    ITEMS,
    st.lists(WORDS, max_size=6).map(" ".join),
    st.integers(0, 5),
    st.sampled_from(["liked", "disliked", "mentioned"]),
)


@settings(deadline=None, max_examples=50)
@given(TASKS)
def test_a_reason_names_only_values_that_the_item_has(task: RankingTask) -> None:
    evidence = Evidence.of(task.conversation, task.mentioned)
    for candidate in task.candidates:
        reason = why(candidate.item, evidence, rarity(task.candidates))
        own = pairs(candidate.item)
        asked = any(asked_for(value, evidence.words) for _, value in own)
        alike = any(pair in pairs(o) for pair in own for o in evidence.welcome if not is_number(pair[1]))
        assert bool(reason) == (asked or alike), "what says nothing is left out"
        if claim := re.match(r"because you wrote (.*?)(, and it shares |$)", reason, re.DOTALL):
            values = {value for _, value in own if asked_for(value, evidence.words)}
            claims = {value for value in values if value in claim.group(1)}
            assert claims, reason
            assert claim.group(1) in {f'"{v}"' for v in values} | {f'"{v}" and "{w}"' for v in values for w in values}
        if " it shares " in reason:
            rest = reason.split("it shares ", 1)[1]
            true = [
                f"{value} ({name}) with {other.title}"
                for name, value in own
                for other in evidence.welcome
                if (name, value) in pairs(other)
            ]
            assert rest in true, (rest, true)


@settings(deadline=None, max_examples=50)
@given(TASKS, st.randoms(use_true_random=False))
def test_the_reply_refers_only_to_what_was_ranked(task: RankingTask, random: object) -> None:
    order = list(range(task.n))
    random.shuffle(order)  # type: ignore[attr-defined]
    reply = write_reply(task, order)
    numbers = [int(found) for found in re.findall(r"\[\s*([0-9]+)\s*\]", reply)]
    assert numbers
    assert set(numbers) <= {i + 1 for i in order[:3]}
    assert numbers[0] == order[0] + 1
    assert "\n" not in reply
    assert reply_text(reply, task.candidates)


def test_a_title_cannot_smuggle_in_a_reference() -> None:
    seen, first = item("seen", "Seven [2] Sins", tone=("dry",)), item("first", tone=("dry",))
    conversation = Conversation((Turn("user", "", (Mention(seen.id),)),))
    candidates = (Candidate(first, 1.0), Candidate(item("second"), 0.5))
    task = RankingTask(conversation, {seen.id: seen}, candidates, 1)
    shown = reply_text(write_reply(task, [0]), candidates)
    assert "Second" not in shown
    assert "Seven (2) Sins" in shown


def test_words_of_its_text_are_a_reason_unless_a_value_says_so_already() -> None:
    stake = Item(ItemId("stake"), "Red stake", "Holds tomatoes and climbing beans.", attributes={"use": ("beans",)})
    evidence = Evidence.of(Conversation((Turn("user", "red, for climbing beans and a tomato"),)), {})
    quoted = {stake.id: ("tomato", "beans", "red", "climbing")}
    assert whys([stake], evidence, {}, quoted) == [
        'because you wrote "beans", and its text mentions "tomato" and "climbing"'
    ]
    assert whys([stake], evidence, {}, {ItemId("other"): ("tomato",)}) == ['because you wrote "beans"']


def test_a_word_with_an_apostrophe_inside_is_quoted() -> None:
    """It is looked up as one word, so it has to be found in the text as one."""
    cheese = Item(ItemId("c"), "Cheese", "By O'Brien, of the hills.")
    evidence = Evidence.of(Conversation((Turn("user", "o'brien's", ()),)), {})
    assert whys([cheese], evidence, {}, {cheese.id: ("o'brien",)}) == ['because its text mentions "o\'brien"']
