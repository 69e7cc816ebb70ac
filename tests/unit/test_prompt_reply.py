"""References in a reply, and the reply out of an answer that is still arriving."""

from __future__ import annotations

import pytest

from rarec.prompt import ReplyStream, reply_text
from rarec.types import Candidate, Item, ItemId


def offered(*titles: str) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(Item(ItemId(str(i)), title, year=1990 + i), score=-float(i)) for i, title in enumerate(titles)
    )


FILMS = offered("Harbour Lights", "Up", "The Long Way", "Up")


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ("Try [1].", "Try Harbour Lights."),
        ("[3] fits.", "The Long Way fits."),
        ("See [1], or [3]?", "See Harbour Lights, or The Long Way?"),
        ("See [1, 3].", "See Harbour Lights, The Long Way."),
        ("See [1][3].", "See Harbour LightsThe Long Way."),
        ("Watch [2].", "Watch Up (1991)."),
        ("Watch [9].", "Watch."),
        ("[9] Watch this", "Watch this"),
        ("Watch [9] or [1].", "Watch or Harbour Lights."),
        ("Watch [0] [-1] [ ] [] [a] [x1].", "Watch [-1] [ ] [] [a] [x1]."),
        ("Harbour Lights [1] is calm.", "Harbour Lights is calm."),
        ("*Harbour Lights* (1990) [1] is calm.", "*Harbour Lights* (1990) is calm."),
        ("[1] Harbour Lights is calm.", "Harbour Lights is calm."),
        ('Try [1] "harbour lights".', 'Try "harbour lights".'),
        ("Go [2] upon it.", "Go Up (1991) upon it."),
        ("Shut [2]", "Shut Up (1991)"),
        ("Backup [2]", "Backup Up (1991)"),
        ("[#1] it is", "Harbour Lights it is"),
        ("An open [1", "An open [1"),
        ("[" + "1" * 100 + "]", "[" + "1" * 100 + "]"),
        ("[" * 3 + "1]", "[[Harbour Lights"),
        ("", ""),
    ],
)
def test_references_become_titles(reply: str, shown: str) -> None:
    assert reply_text(reply, FILMS) == shown


def test_a_title_cannot_smuggle_in_a_reference_or_a_line() -> None:
    assert reply_text("Try [1].", offered("See [2]\nnow", "Other")) == "Try See [2] now."


def test_the_reply_streams_while_the_answer_is_written() -> None:
    stream = ReplyStream()
    pieces = ['```json\n{"rank', 'ing": [2', ', 1], "reply"', ': "One \\', "n two \\u00", 'e9", "x": "reply"', "}"]
    assert [stream.feed(p) for p in pieces] == ["", "", "", "One ", "\n two ", "é", ""]
    assert stream.done
    assert stream.text == "One \n two é"
    assert stream.feed('{"reply": "again"}') == ""


@pytest.mark.parametrize(
    "text",
    [
        "I like [3] {really}, and [1].",
        '{"ranking": [1], "why": "\\"reply\\": \\"no\\""}',
        '{"ranking": [1], "more": {"reply": "nested"}}',
        '{"ranking": ["reply", "x"], "reply": 3, "y": "z"}',
        '["reply", "x"]',
        '{"reply": {"x": "nested"}, "ranking": [1]}',
        '{"reply": ["x"], "ranking": [1]}',
        "",
    ],
)
def test_nothing_is_streamed_where_there_is_no_reply(text: str) -> None:
    stream = ReplyStream()
    assert "".join(stream.feed(c) for c in text) == ""
    assert stream.remainder("All of it") == "All of it"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("\\ud83d\\ude00!", "😀!"),
        ("\\ud83d!", "\ufffd!"),
        ("\\ud83d\\ud83d\\ude00", "\ufffd😀"),
        ("\\ude00\\n", "\ufffd\n"),
        ("\\ud83d", "\ufffd"),
        ("\\u00e9\\u12x\\q", "é\ufffdxq"),
        ('\\"\\\\\\/', '"\\/'),
    ],
)
def test_escapes_are_decoded_wherever_they_are_split(raw: str, text: str) -> None:
    stream = ReplyStream()
    assert "".join(stream.feed(char) for char in '{"reply":"' + raw + '"}') == text
    assert ReplyStream().feed('{"reply":"' + raw + '"}') == text


def test_the_remainder_is_what_was_not_shown() -> None:
    stream = ReplyStream()
    stream.feed('{"reply": "One tw')
    assert stream.remainder("One two") == "o"
    assert stream.remainder("Another") == ""
