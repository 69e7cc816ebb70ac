"""What is told of problems when a build is done."""

from rarec.corpus.digest import digest
from rarec.corpus.record import Problem

BAD = Problem("a.csv", 3, "contains a NUL byte")
NOTE = Problem("a.csv", 4, "year '2019-2021' is taken as 2019", used=True)
CUT = Problem("b.gz", 0, "ends in the middle of its archive", "take it again", fatal=True)


def test_nothing_wrong_is_nothing_told() -> None:
    found = digest([])
    assert (found.left_out, found.put_right, found.unread, found.worst, found.examples) == (0, 0, 0, (), ())


def test_files_that_end_early_are_told_apart_from_rows() -> None:
    found = digest([("one", BAD), ("one", NOTE), ("two", CUT), *[("one", BAD)] * 5, ("two", BAD)])
    assert (found.left_out, found.put_right, found.unread) == (7, 1, 1)
    assert found.worst == ("two: b.gz: ends in the middle of its archive; take it again",)
    assert found.examples == ("one: a.csv:3: contains a NUL byte",) * 2 + ("two: a.csv:3: contains a NUL byte",)


def test_what_is_shown_is_bounded() -> None:
    found = digest([(f"s{n}", problem) for n in range(500) for problem in (BAD, CUT)])
    assert (found.left_out, found.unread, len(found.worst), len(found.examples)) == (500, 500, 20, 20)


def test_what_is_wrong_of_a_whole_file_is_shown_behind_any_number_of_rows() -> None:
    whole = Problem("a.jsonl", 0, "no object has 'yaer'")
    found = digest([*[("one", BAD)] * 5, ("one", whole)])
    assert (found.left_out, found.put_right, found.unread) == (5, 0, 0)
    assert found.examples[-1] == "one: a.jsonl: no object has 'yaer'"
