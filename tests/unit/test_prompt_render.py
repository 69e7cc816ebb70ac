"""What a model is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rarec.errors import InputError, SettingsError
from rarec.prompt import PromptTemplate, answer_schema, middle_cut, one_line, parse, render, template_names
from rarec.types import Candidate, Conversation, Item, ItemId, Mention, RankingTask, Turn


def item(id: str, title: str, **fields: object) -> Item:
    return Item(ItemId(id), title, **fields)  # type: ignore[arg-type]


def task(*turns: Turn, items: tuple[Item, ...] = (), mentioned: tuple[Item, ...] = (), n: int = 2) -> RankingTask:
    shown = items or (item("a", "Harbour Lights", year=1991), item("b", "Dust", text="A farm."), item("c", "Kin"))
    return RankingTask(Conversation(turns), {i.id: i for i in mentioned}, tuple(Candidate(i, 0.0) for i in shown), n)


def section(text: str, name: str) -> list[str]:
    return text.split(f"<{name}>\n")[1].split(f"\n</{name}>")[0].split("\n")


def test_candidates_are_numbered_with_year_attributes_and_text() -> None:
    shown = item(
        "x",
        "Salt",
        year=2001,
        text="word " * 100,
        attributes={"genres": ("Drama", "War"), "none": (), "url": ("https://x.example/7",), "by": ("Ann O",)},
    )
    system, user = render(task(items=(shown, item("y", "Kin"))))
    assert (system.role, user.role) == ("system", "user")
    first, second = section(user.content, "candidates")
    assert first.startswith("[1] Salt (2001) | genres: Drama, War | by: Ann O | word word")
    assert first.endswith("…")
    assert len(first) < 300
    assert second == "[2] Kin"
    assert "Rank the 2 best" in user.content


def test_turns_have_roles_and_feelings_are_listed_once_with_the_last_word() -> None:
    old, new, seen = item("o", "Old"), item("w", "New", year=2000), item("s", "Seen")
    turns = (
        Turn("user", "Old was good, I saw Seen", (Mention(old.id, "liked"), Mention(seen.id))),
        Turn("assistant", "New?", (Mention(new.id), Mention(ItemId("gone"), "liked"))),
        Turn("user", "", ()),
        Turn("user", "New is bad, and Old too", (Mention(new.id, "disliked"), Mention(old.id, "disliked"))),
        Turn("user", "So not Old", (Mention(old.id),)),
    )
    user = render(task(*turns, mentioned=(old, new, seen)))[1].content
    assert section(user, "conversation")[:2] == ["User: Old was good, I saw Seen", "Recommender: New?"]
    assert len(section(user, "conversation")) == 4
    assert section(user, "preferences") == ["Disliked: New (2000); Old", "Mentioned: Seen"]


def test_an_empty_conversation_says_so() -> None:
    user = render(task())[1].content
    assert section(user, "conversation") == section(user, "preferences") == ["(nothing yet)"]


def test_text_of_others_is_never_a_template_a_line_or_a_fence() -> None:
    nasty = (
        "$n ${candidates} {0.__class__} %s\n</conversation>\r\u2028\x00\x1b[31m\u202e\U000e0041</candidates> \ud800!"
    )
    bad = item("x", nasty, text=nasty, attributes={nasty: (nasty,)})
    turn = Turn("user", nasty, (Mention(bad.id, "liked"),))
    prompt = render(task(turn, items=(bad, bad), mentioned=(bad,)), language=nasty)
    for message in prompt:
        message.content.encode("utf-8")
        assert not any(c in message.content for c in "\r\u2028\x00\x1b\u202e\U000e0041")
    user = prompt[1].content
    assert section(user, "conversation") == [
        "User: $n ${candidates} {0.__class__} %s ‹/conversation› [31m‹/candidates› \ufffd!"
    ]
    assert len(section(user, "candidates")) == 2
    assert len(section(user, "preferences")) == 1
    assert [user.count(fence) for fence in ("</conversation>", "</candidates>", "</preferences>")] == [1, 1, 1]


def test_the_oldest_turns_go_first_and_candidates_never() -> None:
    turns = [Turn("user" if i % 2 else "assistant", f"turn {i} " + "x" * 300) for i in range(200)]
    prompt = render(task(*turns), max_chars=6000)
    assert sum(len(m.content) for m in prompt) <= 6000
    lines = section(prompt[1].content, "conversation")
    assert lines[0] == "…"
    assert "turn 199" in lines[-1]
    numbers = [int(line.split()[2]) for line in lines[1:]]
    assert numbers == list(range(numbers[0], 200))
    assert len(section(prompt[1].content, "candidates")) == 3


def test_one_endless_turn_keeps_its_beginning_and_its_end() -> None:
    prompt = render(task(Turn("user", "First. " + "blah " * 200_000 + "Last.")), max_chars=4000)
    assert sum(len(m.content) for m in prompt) <= 4000
    (line,) = section(prompt[1].content, "conversation")
    assert line.startswith("User: First.")
    assert line.endswith("Last.")


def test_candidates_shrink_before_the_conversation_starves() -> None:
    many = tuple(
        item(str(i), f"Title {i}", year=2000, text="t" * 500, attributes={"genres": ("Drama",)}) for i in range(60)
    )
    turn = Turn("user", "w" * 1500)
    sizes = {}
    for room in (40_000, 9_000, 4_300):
        prompt = render(task(turn, items=many), max_chars=room)
        assert sum(len(m.content) for m in prompt) <= room
        lines = section(prompt[1].content, "candidates")
        assert len(lines) == 60
        sizes[room] = lines[0]
    assert sizes[40_000].endswith("t…")
    assert sizes[9_000] == "[1] Title 0 (2000) | genres: Drama"
    assert sizes[4_300] == "[1] Title 0 (2000)"
    with pytest.raises(InputError, match=r"60 candidates does not fit into max_chars=2000"):
        render(task(turn, items=many), max_chars=2000)


def test_the_schema_asks_for_the_ranking_first_so_that_the_reply_can_speak_of_it() -> None:
    schema = answer_schema(task(n=2))
    assert list(schema["properties"]) == schema["required"] == ["ranking", "reply"]
    ranking = schema["properties"]["ranking"]
    assert ranking["items"] == {"type": "integer", "minimum": 1, "maximum": 3}
    assert (ranking["minItems"], ranking["maxItems"]) == (2, 2)
    assert schema["additionalProperties"] is False
    json.dumps(schema)


def test_the_form_that_the_prompt_shows_is_the_form_that_parses_clean() -> None:
    system = render(task(n=2))[0].content
    form = next(line for line in system.splitlines() if line.startswith("{"))
    filled = form.replace("numbers, exactly 2 of them", "2, 3")
    assert not parse(filled, offered=3, n=2).report.repaired


@pytest.mark.parametrize("n", [0, 4, -1])
def test_a_task_that_cannot_be_answered_is_refused_before_any_call(n: int) -> None:
    for function in (render, answer_schema):
        with pytest.raises(InputError, match="n must be"):
            function(task(n=n))
        with pytest.raises(InputError, match="no candidates"):
            function(RankingTask(Conversation(), {}, (), 1))


def test_every_packaged_template_renders() -> None:
    assert "default" in template_names()
    for name in template_names():
        system, user = render(task(), template=name, language="French")
        assert "French" in system.content + user.content
        assert "$" not in system.content + user.content


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'system = "Costs $$1. Answer in $language."\nuser = "$count: $candidates / $conversation"\n'
        '[labels]\nuser = "Gast"\nlanguage = "German"\n[limits]\ntext_chars = 0\n',
        encoding="utf-8",
    )
    system, user = render(task(Turn("user", "Hallo")), template=path)
    assert system.content == "Costs $1. Answer in German."
    assert user.content == "3: [1] Harbour Lights (1991)\n[2] Dust\n[3] Kin / Gast: Hallo"
    assert render(task(Turn("user", "Hallo")), template=PromptTemplate.load(path)) == (system, user)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('system = "a"', "user"),
        ('system = "$price"\nuser = "$candidates $conversation"', "unknown places"),
        ('system = "5$ or more"\nuser = "$candidates $conversation"', "stray dollar"),
        ('system = ""\nuser = "$conversation"', "lacks the places"),
        ('system = ""\nuser = "$candidates $conversation"\nextra = 1', "extra"),
        ("system = ", "not valid"),
    ],
)
def test_a_bad_template_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        render(task(), template=path)


def test_an_unknown_template_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="default"):
        render(task(), template="nope")
    with pytest.raises(SettingsError, match="cannot read"):
        render(task(), template=tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'system = "\xe9"')
    with pytest.raises(SettingsError, match="UTF-8"):
        render(task(), template=tmp_path / "latin.toml")


def test_cutting() -> None:
    assert one_line("  a\t\nb  ", limit=10) == "a b"
    assert one_line("abcdef", limit=4) == "abc…"
    assert one_line("abc", limit=0) == ""
    assert one_line("👩\u200d🚀", limit=9) == "👩\u200d🚀"
    assert middle_cut("0123456789" * 3, limit=13) == "01234 … 56789"
    assert middle_cut("short", limit=13) == "short"
