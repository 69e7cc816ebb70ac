"""What is read out of a model's answer, case by case."""

from __future__ import annotations

import json
import time

import pytest

from rarec.errors import InputError
from rarec.prompt import parse
from rarec.prompt.lenient import MAX_DEPTH, read_value
from rarec.types import ParseReport


def answer(ranking: object, reply: object = "Try [1].") -> str:
    return json.dumps({"ranking": ranking, "reply": reply})


def test_a_clean_answer_is_read_exactly_and_reported_clean() -> None:
    parsed = parse(answer([4, 1, 3]), offered=5, n=3)
    assert parsed.order == (3, 0, 2)
    assert parsed.reply == "Try [1]."
    assert parsed.whys == {}
    assert parsed.report == ParseReport()
    assert not parsed.report.repaired


def test_key_order_and_white_space_do_not_matter() -> None:
    assert not parse(' {"reply": "Hi", \n "ranking": [2, 1]}\n', offered=2, n=2).report.repaired


@pytest.mark.parametrize(
    ("ranking", "order", "report"),
    [
        ([2], (1, 0, 2), ParseReport(missing=2)),
        ([], (0, 1, 2), ParseReport(missing=3)),
        ([2, 2, 3], (1, 2, 0), ParseReport(missing=1, repeated=1)),
        ([9, 2, 0, -1], (1, 0, 2), ParseReport(missing=2, unknown=3)),
        ([3, 2, 1, 4], (2, 1, 0), ParseReport(malformed=True)),
        (["3", "[2] Heat", "#1"], (2, 1, 0), ParseReport(malformed=True)),
        (["3. Heat", "Candidate 2", "Heat [1]"], (2, 1, 0), ParseReport(malformed=True)),
        (["12 Angry Men", "Up", "2"], (1, 0, 2), ParseReport(missing=2, unknown=2, malformed=True)),
        ([True, False, None], (0, 1, 2), ParseReport(missing=3, unknown=3, malformed=True)),
        ([2.0, 1.5, float("nan"), float("inf")], (1, 0, 2), ParseReport(missing=2, unknown=3, malformed=True)),
        ([10**30, 3], (2, 0, 1), ParseReport(missing=2, unknown=1, malformed=True)),
        ([[3, 1], [2]], (2, 0, 1), ParseReport(malformed=True)),
        ({"1": 3, "2": 1, "3": 2}, (2, 0, 1), ParseReport(malformed=True)),
        ("3 > 1 > 2", (2, 0, 1), ParseReport(malformed=True)),
        ([{"number": 3}, {"id": "1"}, {"title": "Heat"}], (2, 0, 1), ParseReport(missing=1, unknown=1, malformed=True)),
    ],
)
def test_what_a_ranking_may_hold(ranking: object, order: tuple[int, ...], report: ParseReport) -> None:
    parsed = parse(answer(ranking), offered=5, n=3)
    assert (parsed.order, parsed.report) == (order, report)
    assert parsed.reply == "Try [1]."


def test_a_digit_string_of_thousands_is_no_candidate() -> None:
    assert parse('{"ranking": [' + "9" * 50_000 + ', 2], "reply": ""}', offered=3, n=1).order == (1,)


def test_reasons_are_kept_by_position_on_one_line() -> None:
    text = answer(
        [{"number": 3, "why": "It is\nslow\u0000 and warm"}, {"number": 1, "reason": "x" * 1000}, {"number": 2}]
    )
    parsed = parse(text, offered=3, n=3)
    assert parsed.order == (2, 0, 1)
    assert parsed.whys[2] == "It is slow and warm"
    assert len(parsed.whys[0]) == 300
    assert 1 not in parsed.whys


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"ranking": [3, 1], "reply": "Yes"}\n```',
        'Sure {as you "like"}! Here:\n\n{"ranking": [3, 1], "reply": "Yes"} Enjoy.',
        '{"ranking": [3, 1], "reply": "Yes"',
        "{'ranking': [3, 1], 'reply': 'Yes'}",
        '{ranking: [3, 1], reply: "Yes"} {"ranking": [3, 1], "reply": "Yes"}',
        '{"thought": "hm", "result": {"ranking": [3, 1], "reply": "Yes"}}',
        '{"ranking": [3, 1,], "reply": "Yes",}',
        '{"reply": "Yes", "ranking": [3, 1',
        '{"a": {"b": {"ranking": [3, 1], "reply": "Yes"}}',
        '{"order": [3, 1], "message": "Yes"}',
    ],
)
def test_json_that_is_wrapped_cut_or_badly_written(text: str) -> None:
    parsed = parse(text, offered=5, n=2)
    assert parsed.order == (2, 0)
    assert parsed.reply == "Yes"
    assert parsed.report == ParseReport(malformed=True)


@pytest.mark.parametrize("cut", range(1, len('{"ranking": [3, 1], "reply": "Yes, \\u00e9t\\u00e9"}')))
def test_every_prefix_of_an_answer_keeps_what_was_said(cut: int) -> None:
    text = '{"ranking": [3, 1], "reply": "Yes, \\u00e9t\\u00e9"}'[:cut]
    parsed = parse(text, offered=3, n=2)
    assert parsed.report.malformed
    assert "Yes, été".startswith(parsed.reply)
    assert parsed.order == ((2, 0) if "1" in text else (2, 0) if "3" in text else (0, 1))


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("[3] > [1] > [2]", (2, 0, 1)),
        ("3, 1, 2", (2, 0, 1)),
        ("[3, 1, 2]", (2, 0, 1)),
        ("Here: [3, 1, 2].", (2, 0, 1)),
        ("3. Heat\n1. Up\n2. Her", (2, 0, 1)),
        ("1. 3\n2. 1\n3. 2", (2, 0, 1)),
        ("1. [3] Heat\n2. [1] Up", (2, 0, 1)),
        ("I would watch [3], then [1].", (2, 0, 1)),
        ("- 3) Heat\n- 1) Up", (2, 0, 1)),
    ],
)
def test_plain_text(text: str, order: tuple[int, ...]) -> None:
    parsed = parse(text, offered=4, n=3)
    assert parsed.order == order
    assert parsed.report.malformed


def test_prose_is_itself_the_reply_and_junk_is_not() -> None:
    assert parse("I would watch [3].", offered=3, n=1).reply == "I would watch [3]."
    for junk in ("3, 1, 2", "", "   ", '{"rank', "```json", "[3, 1]", "}{"):
        assert parse(junk, offered=3, n=1).reply == ""


def test_of_two_equal_keys_the_first_counts_because_it_was_streamed() -> None:
    text = '{"reply": "a", "ranking": [2], "reply": "b", "ranking": [1]}'
    for answered in (text, text[:-1]):
        parsed = parse(answered, offered=2, n=1)
        assert (parsed.reply, parsed.order) == ("a", (1,))


def test_lone_surrogates_can_be_encoded_afterwards() -> None:
    parsed = parse('{"ranking": [1], "reply": "a\\ud83d b \\ud83d\\ude00"}', offered=1, n=1)
    assert parsed.reply == "a\ufffd b 😀"


@pytest.mark.parametrize(("offered", "n"), [(0, 1), (3, 0), (3, 4), (3, -1)])
def test_wrong_sizes_are_the_callers_mistake(offered: int, n: int) -> None:
    with pytest.raises(InputError, match="n must be between"):
        parse("{}", offered=offered, n=n)


def test_deep_nesting_is_cut_off_and_what_follows_is_still_read() -> None:
    value, end = read_value('{"a": ' + "[" * 100 + "7" + "]" * 100 + ', "b": 1}', 0)
    assert isinstance(value, dict)
    assert value["b"] == 1
    depth, inner = 0, value["a"]
    while inner:
        depth, inner = depth + 1, inner[0]
    assert depth == MAX_DEPTH - 2
    assert end == 6 + 100 + 1 + 100 + len(', "b": 1}')


MILLION = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * MILLION,
        '{"a":' * (MILLION // 5),
        '{"' * (MILLION // 2),
        '"\\' * (MILLION // 2),
        '{"ranking": [' + "[" * MILLION,
        '{"ranking": [' + "1," * (MILLION // 2),
        '{"ranking": [' + "1," * (MILLION // 2) + '1], "reply": ""}',
        "[1" * (MILLION // 2),
        " " * MILLION,
        "1 " * (MILLION // 2),
        "[ # " * (MILLION // 4),
        "1.\n" * (MILLION // 3),
        "é" * MILLION,
        '{"ranking": ' + "9" * MILLION,
        "\\" * MILLION,
        "{'" + "\\'" * (MILLION // 2),
    ],
    ids=lambda text: repr(text[:16]),
)
def test_a_megabyte_of_anything_is_read_in_bounded_time(text: str) -> None:
    start = time.process_time()
    assert sorted(parse(text, offered=5, n=5).order) == [0, 1, 2, 3, 4]
    assert time.process_time() - start < 5
