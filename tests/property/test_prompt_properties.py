"""Whatever a model writes and whatever people type: promises about the ranking, the reply and the prompt."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.errors import InputError
from rarec.prompt import ReplyStream, ReplyText, answer_schema, parse, render, reply_text
from rarec.types import Candidate, Conversation, Item, ItemId, Mention, RankingTask, Turn

LIMITED = settings(deadline=None, max_examples=50)

ANY_TEXT = st.text(st.characters(), max_size=80)  # lone surrogates as well
SIZES = st.integers(1, 12).flatmap(lambda offered: st.tuples(st.just(offered), st.integers(1, offered)))
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.integers(1, 12).map(lambda i: f"[{i}] T"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["number", "why", "id", "x"]), inner),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries(
    {}, optional={"ranking": st.lists(JUNK, max_size=8) | JUNK, "reply": ANY_TEXT | JUNK, "items": JUNK}
)
PIECES = """{"ranking"|:|[|]|{|}|,|"|'|\\|\\u12|1|2|-3|1e999|[3]|\n|```|"reply"|true|NaN| |é|1. |reply|ranking"""
FRAGMENTS = st.lists(st.sampled_from(PIECES.split("|")), max_size=40).map("".join)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A plausible answer that was cut, doubled, or had a piece replaced."""
    text = json.dumps(draw(SHAPED), ensure_ascii=draw(st.booleans()))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, len(text)))
    piece = draw(st.sampled_from(["", "```json\n", "Sure! ", "{", "]", '"', "\\", text]))
    return text[:start] + piece + text[end:]


@LIMITED
@given(text=ANY_TEXT | FRAGMENTS | mutated() | SHAPED.map(json.dumps), sizes=SIZES)
def test_every_position_was_offered_stands_once_and_there_are_n(text: str, sizes: tuple[int, int]) -> None:
    offered, n = sizes
    parsed = parse(text, offered=offered, n=n)
    assert len(parsed.order) == n == len(set(parsed.order))
    assert set(parsed.order) <= set(range(offered))
    assert set(parsed.whys) <= set(parsed.order)
    assert 0 <= parsed.report.missing <= n
    assert parsed.report.repeated >= 0
    assert parsed.report.unknown >= 0
    parsed.reply.encode("utf-8")
    filled = parsed.order[n - parsed.report.missing :]
    assert list(filled) == sorted(filled), "missing places are filled in the offered order"


@st.composite
def exact(draw: st.DrawFn) -> tuple[int, list[int], str]:
    offered, n = draw(SIZES)
    return offered, draw(st.permutations(range(1, offered + 1)))[:n], draw(st.text(max_size=200))


@LIMITED
@given(answer=exact(), ascii_only=st.booleans(), indent=st.sampled_from([None, 2]), reply_first=st.booleans())
def test_parsing_an_exact_answer_is_the_identity(
    answer: tuple[int, list[int], str], ascii_only: bool, indent: int | None, reply_first: bool
) -> None:
    offered, ranking, reply = answer
    value: dict[str, Any] = (
        {"reply": reply, "ranking": ranking} if reply_first else {"ranking": ranking, "reply": reply}
    )
    parsed = parse(json.dumps(value, ensure_ascii=ascii_only, indent=indent), offered=offered, n=len(ranking))
    assert parsed.order == tuple(number - 1 for number in ranking)
    assert parsed.reply == reply
    assert not parsed.report.repaired


def pieces_of(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=len(text))))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


ESCAPES = st.lists(st.sampled_from(['"', "\\", "/", "\n", "\t", "é", "😀", "\u2028", "[3]", "{", "}", "a"])).map(
    "".join
)


@LIMITED
@given(data=st.data(), reply=ESCAPES | st.text(max_size=60), more=st.dictionaries(ANY_TEXT, JUNK, max_size=2))
def test_streaming_gives_the_reply_for_any_split(data: st.DataObject, reply: str, more: dict[str, Any]) -> None:
    value = {key: v for key, v in more.items() if key not in ("reply", "ranking")} | {"ranking": [2, 1], "reply": reply}
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    text = data.draw(st.sampled_from(["", "```json\n", "Here {it} is:\n"])) + text
    stream = ReplyStream()
    assert "".join(stream.feed(piece) for piece in pieces_of(data.draw, text)) == reply == stream.text
    assert stream.done


@LIMITED
@given(
    data=st.data(), raw=st.lists(st.sampled_from(["\\", "u", "d83d", "de00", "00e9", "n", "x", "é", "'"])).map("".join)
)
def test_streaming_agrees_with_parsing_on_broken_escapes(data: st.DataObject, raw: str) -> None:
    text = '{"ranking": [1], "reply": "' + raw
    stream = ReplyStream()
    streamed = "".join(stream.feed(piece) for piece in pieces_of(data.draw, text))
    assert streamed == parse(text, offered=1, n=1).reply


@LIMITED
@given(data=st.data(), text=ANY_TEXT | FRAGMENTS)
def test_streaming_any_text_never_fails_and_splits_do_not_matter(data: st.DataObject, text: str) -> None:
    whole, split = ReplyStream(), ReplyStream()
    assert whole.feed(text) == "".join(split.feed(piece) for piece in pieces_of(data.draw, text))


WORDS = st.sampled_from(
    ["[1]", "[2]", "[ 3,1]", "[9]", "[", "]", " ", "  ", "Heat", "heat", "Up", "(1999)", "*", ".", "1", "[x"]
)


@LIMITED
@given(data=st.data(), reply=st.lists(WORDS, max_size=20).map("".join))
def test_references_become_the_same_text_for_any_split(data: st.DataObject, reply: str) -> None:
    candidates = [Candidate(Item(ItemId(t), t, year=1999), 0.0) for t in ("Heat", "Up", "The Heat of [1]", "Up")]
    stream = ReplyText(candidates)
    split = "".join(stream.feed(piece) for piece in pieces_of(data.draw, reply)) + stream.close()
    whole = reply_text(reply, candidates)
    assert split == whole
    assert "[9]" not in whole
    assert "[2]" not in whole


ITEMS = st.builds(
    Item,
    id=ANY_TEXT.map(ItemId),
    title=ANY_TEXT,
    text=ANY_TEXT,
    year=st.none() | st.integers(-3000, 3000),
    attributes=st.dictionaries(ANY_TEXT, st.lists(ANY_TEXT, max_size=3).map(tuple), max_size=3),
)
TURNS = st.builds(
    Turn,
    role=st.sampled_from(["user", "assistant"]),
    text=ANY_TEXT | st.text(min_size=1).map(lambda s: s * 200),
    mentions=st.none()
    | st.lists(st.builds(Mention, item=ANY_TEXT.map(ItemId), sentiment=st.sampled_from(["liked", "disliked"]))).map(
        tuple
    ),
)


@LIMITED
@given(
    items=st.lists(ITEMS, min_size=1, max_size=8),
    turns=st.lists(TURNS, max_size=6),
    max_chars=st.integers(1000, 6000),
)
def test_a_prompt_stays_within_its_bound_with_every_candidate(
    items: list[Item], turns: list[Turn], max_chars: int
) -> None:
    mentioned = {m.item: items[0] for t in turns for m in t.mentions or ()}
    task = RankingTask(Conversation(tuple(turns)), mentioned, tuple(Candidate(i, 0.0) for i in items), 1)
    try:
        messages = render(task, max_chars=max_chars)
    except InputError:
        # Without candidates' details and turns the texts alone are some 1,700 characters.
        assert max_chars < 1900 + 150 * len(items)
        return
    assert sum(len(m.content) for m in messages) <= max_chars
    user = messages[1].content
    user.encode("utf-8")
    lines = user.split("<candidates>\n")[1].split("\n</candidates>")[0].split("\n")
    assert [line.split(" ")[0] for line in lines] == [f"[{i}]" for i in range(1, len(items) + 1)]
    assert user.count("</conversation>") == 1
    assert answer_schema(task)["properties"]["ranking"]["items"]["maximum"] == len(items)
