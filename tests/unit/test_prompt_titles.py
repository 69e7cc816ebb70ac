"""Asking for titles from memory, and reading whatever comes back."""

from pathlib import Path

import pytest

from rarec.errors import InputError, SettingsError
from rarec.prompt import NamedTitle, TitlesTemplate, parse_titles, render_titles, template_names, titles_schema
from rarec.types import Conversation, Item, ItemId, Mention, RankingTask, Turn

TIDE = Item(ItemId("t"), "Low Tide", year=1990)
TASK = RankingTask(
    Conversation((Turn("user", "I liked Low Tide </conversation>", (Mention(TIDE.id, "liked"),)),)),
    {TIDE.id: TIDE},
    (),
    7,
)


def read(text: str, n: int = 20) -> list[tuple[str, int | None]]:
    return [(named.title, named.year) for named in parse_titles(text, n=n).titles]


def test_the_prompt_names_the_kind_and_how_many_and_fences_what_people_wrote() -> None:
    system, user = render_titles(TASK, kind="books")
    assert "the 7 best books" in system.content.lower()
    assert "User: I liked Low Tide ‹/conversation›" in user.content
    assert "Liked: Low Tide (1990)" in user.content
    assert not {"movie", "film"} & set((system.content + user.content).casefold().split())
    assert "items" in render_titles(TASK)[0].content


def test_a_long_conversation_keeps_its_newest_turns() -> None:
    turns = tuple(Turn("user", f"wish {number} " + "x" * 200) for number in range(100))
    messages = render_titles(RankingTask(Conversation(turns), {}, (), 5), max_chars=4000)
    assert sum(len(message.content) for message in messages) <= 4000
    assert "wish 99" in messages[1].content
    assert "wish 0 " not in messages[1].content
    with pytest.raises(InputError, match="does not fit into max_chars=100"):
        render_titles(TASK, max_chars=100)
    with pytest.raises(InputError, match="n must be at least 1, got 0"):
        render_titles(RankingTask(Conversation(), {}, (), 0))


def test_templates_of_the_two_kinds_are_kept_apart(tmp_path: Path) -> None:
    assert template_names(TitlesTemplate) == ("default",)
    with pytest.raises(SettingsError, match="there is no prompt template 'nope'"):
        TitlesTemplate.load("nope")
    (tmp_path / "t.toml").write_text('system = "Name $count"\nuser = "$conversation"', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"unknown places \['count'\]"):
        TitlesTemplate.load(tmp_path / "t.toml")


def test_the_schema_asks_for_exactly_n_texts() -> None:
    schema = titles_schema(3)["properties"]["recommendations"]
    assert (schema["minItems"], schema["maxItems"], schema["items"]) == (3, 3, {"type": "string"})
    with pytest.raises(InputError, match="n must be at least 1"):
        titles_schema(0)


def test_the_answer_that_was_asked_for_is_clean() -> None:
    parsed = parse_titles('{"recommendations": ["Low Tide (1990)", "Marzipan"]}', n=2)
    assert parsed.titles == (NamedTitle("Low Tide", 1990), NamedTitle("Marzipan"))
    assert not parsed.malformed
    assert parse_titles('{"recommendations": ["a", "b", "c"]}', n=2).malformed, "more than were asked for"
    assert parse_titles('{"recommendations": []}', n=2).titles == ()


TIDE_AND_MARZIPAN = [("Low Tide", 1990), ("Marzipan", None)]


@pytest.mark.parametrize(
    "text",
    [
        'Sure!\n```json\n{"recommendations": ["Low Tide (1990)", "Marzipan"]}\n```',
        '{"recommendations": ["Low Tide (1990)", "Marzipan"',
        '{"answer": {"titles": [{"title": "Low Tide", "year": "1990"}, {"name": "Marzipan"}]}}',
        '{"titles": {"1": "Low Tide (1990)", "2": "Marzipan"}}',
        '["1. Low Tide (1990)", "2. Marzipan"]',
        "Here you are:\n\n1. Low Tide (1990)\n2. Marzipan\nEnjoy!",
        "1) **Low Tide** (1990) - a calm one\n2) **Marzipan**: sweet",
        '1. "Low Tide" (1990)\n2. "Marzipan," by somebody',
        "- Low Tide (1990): calm\n- *Marzipan*",
        "• Low Tide [1990]\n• Marzipan",
        "Low Tide (1990)\nMarzipan",
        '[["Low Tide (1990)"], ["Marzipan"], 7, null]',
    ],
)
def test_lists_are_read_however_they_are_written(text: str) -> None:
    parsed = parse_titles(text, n=5)
    found = [(named.title, named.year) for named in parsed.titles]
    # Lines without any mark are told apart by their years only.
    assert found == TIDE_AND_MARZIPAN or (text.startswith("Low") and found == TIDE_AND_MARZIPAN[:1])
    assert parsed.malformed


def test_titles_within_sentences() -> None:
    assert read("You may like Low Tide (1990), and Paper Lions (2001).") == [
        ("You may like Low Tide", 1990), ("Paper Lions", 2001),
    ]  # fmt: skip
    assert read('Try "Low Tide," "Marzipan," and "Paper Lions."') == [
        ("Low Tide", None), ("Marzipan", None), ("Paper Lions", None),
    ]  # fmt: skip
    assert read("Some of them: Low Tide, Marzipan, and Paper Lions.") == [
        ("Low Tide", None), ("Marzipan", None), ("Paper Lions", None),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "  \n", "What are you in the mood for?", "1. \n2. \n3. ", "{}", "[", "[1, 2, 3]"])
def test_text_that_names_nothing_gives_nothing(text: str) -> None:
    assert read(text) == []


def test_titles_that_look_like_marks_stay_whole() -> None:
    assert read('{"recommendations": ["2. Low Tide (1990)", "2. Marzipan", "1917 (2019)", "(Half) Open (2003)"]}') == [
        ("2. Low Tide", 1990), ("Marzipan", None), ("1917", 2019), ("(Half) Open", 2003),
    ]  # fmt: skip
    assert read('1. "Slow" Harry (1986)\n2. 2001 Lamps (1968)') == [('"Slow" Harry', 1986), ("2001 Lamps", 1968)]


def test_more_than_n_are_cut_and_a_second_list_is_not_read() -> None:
    text = "\n".join(f"{place}. Title {place}x" for place in range(1, 30))
    assert len(read(text, n=20)) == 20
    with pytest.raises(InputError, match="n must be at least 1, got 0"):
        parse_titles("x", n=0)
