"""Damaged files of a source: each a problem with its line and a remedy, and the rows around it are read."""

from __future__ import annotations

import csv
import json
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_sources import PACKED, Read, lines, read, texts, zipped
from rarec.corpus.sources.values import plain_text

COLUMNS = {"id": "id", "title": "name", "year": "year", "text": "text"}
HEAD = "id,name,year,text"


def table(folder: Path, name: str = "a.csv", **more: object) -> Read:
    return read(folder, kind="table", files={"list": name}, columns=COLUMNS, **more)


@pytest.mark.parametrize("ending", PACKED)
def test_packed_files_read_like_plain_ones(tmp_path: Path, ending: str) -> None:
    plain = lines(tmp_path / "a.csv", HEAD, "1,Lamp,1990,Bright.", "2,Kettle,1991,Hot.")
    (tmp_path / f"a.csv.{ending}").write_bytes(PACKED[ending](plain.read_bytes()))
    expected = table(tmp_path)
    found = table(tmp_path, f"a.csv.{ending}")
    assert found.records == expected.records
    assert [record.line for record in found.records] == [2, 3]
    assert found.rows == {"list": 2}
    assert found.told[-1] == (
        f"source: a.csv.{ending}", (size := (tmp_path / f"a.csv.{ending}").stat().st_size), size, "2 rows"
    )  # fmt: skip


@pytest.mark.parametrize("ending", PACKED)
def test_rows_before_the_end_of_a_truncated_archive_are_read(tmp_path: Path, ending: str) -> None:
    rows = [f"{number},Thing {number * number},1990,{number * 7919}" for number in range(60_000)]
    whole = PACKED[ending]("\n".join([HEAD, *rows]).encode())
    (tmp_path / f"a.csv.{ending}").write_bytes(whole[: len(whole) * 2 // 3])
    found = table(tmp_path, f"a.csv.{ending}")
    (problem,) = found.problems
    assert problem.fatal
    assert problem.file == f"a.csv.{ending}"
    if ending != "zip":  # its list of files stands at its end
        assert 20_000 < len(found.records) < 60_000
        assert f"after {len(found.records):,} rows" in problem.reason
    assert "take this dump again" in problem.remedy


def test_what_is_no_archive_is_one_problem(tmp_path: Path) -> None:
    for ending in PACKED:
        (tmp_path / f"a.csv.{ending}").write_bytes(b"this is no archive at all")
        (problem,) = table(tmp_path, f"a.csv.{ending}").problems
        assert problem.fatal
        assert "cannot be read" in problem.reason


def test_a_missing_file_is_one_problem(tmp_path: Path) -> None:
    (problem,) = table(tmp_path).problems
    assert problem.fatal
    assert "check the path" in str(problem)


def test_a_zip_archive_with_several_files_must_say_which_is_meant(tmp_path: Path) -> None:
    content = zipped(b"movieId,title,genres\n1,Lamp (1990),Drama\n", name="x/movies.csv")
    (tmp_path / "m.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "m.zip", "a") as archive:
        archive.writestr("x/links.csv", "movieId,imdbId,tmdbId\n1,0000012,7\n")
        archive.writestr("__MACOSX/x/._movies.csv", "")
    found = read(tmp_path, kind="movielens", files={"movies": "m.zip", "links": "m.zip"})
    assert found.problems == []
    assert found.by_key["1"].ids == {"movielens": "1", "imdb": "tt0000012", "tmdb": "7"}
    (problem,) = table(tmp_path, "m.zip", form="csv").problems
    assert problem.fatal
    assert "x/movies.csv, x/links.csv" in problem.reason


def test_an_archive_of_another_method_is_one_problem(tmp_path: Path) -> None:
    content = bytearray(zipped(b"id,name,year,text\n1,Lamp,1990,Bright.\n"))
    for header, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(header) + place] = 9  # Deflate64
    (tmp_path / "a.csv.zip").write_bytes(content)
    (problem,) = table(tmp_path, "a.csv.zip").problems
    assert problem.fatal
    assert "is packed in a way that is not read here" in problem.reason


def test_missing_columns_are_named_with_what_there_is(tmp_path: Path) -> None:
    lines(tmp_path / "a.csv", "id,nam,year,extra", "1,Lamp,1990,x")
    (problem,) = table(tmp_path).problems
    assert problem.fatal
    assert (problem.line, found := str(problem)) == (1, found)
    assert "has no column 'name', 'text'" in found
    assert "is it 'nam' for 'name'?" in found
    assert "'id', 'nam', 'year', 'extra'" in found


BAD_ROWS = {
    "nul": (b"2,Ke\0ttle,1991,Hot.", "NUL", "delete the NUL bytes"),
    "latin-1": (b"2,Th\xe9,1991,Hot.", "not valid UTF-8", "save the file as UTF-8"),
    "too few": (b"2,Kettle", "2 fields, the header has 4", "put values that hold the separator into quotes"),
    "too many": (b"2,Kettle,1991,Hot,hot", "5 fields", "quotes"),
    "open quote": (b'2,"Kettle"x,1991,Hot.', "not valid CSV", "correct the line"),
    "no id": (b" ,Kettle,1991,Hot.", "id in column 'id' is empty", "give each row an id"),
    "no title": (b"2,,1991,Hot.", "title in column 'name' is empty", "give it a title"),
    "same id": (b"1,Kettle,1991,Hot.", "id '1' was on line 2 already", "give it an id of its own"),
    "long line": (b"2,Kettle,1991," + b"x" * 2000, "longer than 1,000 bytes", "line end or a quote is missing"),
}


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_a_bad_row_is_told_with_its_line_and_remedy_and_the_others_are_read(tmp_path: Path, bad: str) -> None:
    row, reason, remedy = BAD_ROWS[bad]
    lines(tmp_path / "a.csv", HEAD, "1,Lamp,1990,Bright.", row, "3,Stool,1992,Low.")
    found = table(tmp_path, max_line_bytes=1000)
    assert [record.key for record in found.records] == ["1", "3"]
    (problem,) = found.problems
    assert (problem.file, problem.line, problem.used, problem.fatal) == ("a.csv", 3, False, False)
    assert reason in problem.reason
    assert remedy in problem.remedy


def test_an_id_that_another_file_of_the_source_had_is_told_with_that_file(tmp_path: Path) -> None:
    lines(tmp_path / "a.csv", HEAD, "1,Lamp,1990,Bright.", "2,Kettle,1991,Hot.")
    lines(tmp_path / "b.csv", HEAD, "2,Kettle,1991,Hot.", "3,Stool,1992,Low.", "3,Stool,1992,Low.")
    found = read(tmp_path, kind="table", files={"one": "a.csv", "two": "b.csv"}, columns=COLUMNS)
    assert [record.key for record in found.records] == ["1", "2", "3"]
    assert found.places() == [("b.csv", 2), ("b.csv", 4)]
    assert "the id '2' was on line 3 of a.csv already" in found.problems[0].reason
    assert "the id '3' was on line 3 already" in found.problems[1].reason


def test_a_year_range_is_noted_and_html_is_taken_out(tmp_path: Path) -> None:
    lines(
        tmp_path / "a.csv", HEAD, "1,Lamp,2019-2021,<p>Very <b>bright</b> &amp; warm.<br>New.</p><script>x()</script>"
    )
    found = table(tmp_path)
    (record,) = found.records
    assert (record.year, record.text) == (2019, "Very bright & warm.\nNew.")
    assert found.lost == []
    assert [(problem.line, problem.used) for problem in found.problems] == [(2, True), (2, True)]
    assert "year '2019-2021' is taken as 2019; write one year" in texts(found.problems)


@pytest.mark.parametrize(
    "text", ["It has 2 <b than I thought", "See <http://x.org/a> there", "A <ten points. It was > all", "R&D &c. <3"]
)
def test_what_only_looks_like_html_stays(text: str) -> None:
    assert plain_text(text) == (text, False)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("A <title>without its end", "A without its end"),
        ("Old <script>x</script><style>y</style>rope<!-- z -->", "Old rope"),
        ('<A href="a>b">Link</A> &lt;b&gt; &#233;', "Link <b> é"),
        ("<o:p></o:p>Worn<BR/>out", "Worn\nout"),
    ],
)
def test_html_is_taken_out_and_nothing_else(text: str, plain: str) -> None:
    assert plain_text(text) == (plain, True)


def test_a_whole_file_of_another_encoding_is_read_when_the_recipe_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(f"{HEAD}\n1,Thé,1990,Doux.\n".encode("latin-1"))
    assert len(table(tmp_path).lost) == 1
    found = table(tmp_path, encoding="latin-1")
    assert (found.records[0].titles, found.problems) == (("Thé",), [])


def test_a_line_of_a_hundred_megabytes_is_told_without_being_kept(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(f"{HEAD}\n1,Lamp,1990,Bright.\n2,Long,1991,".encode())
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\n3,Stool,1992,Low.\n")
    tracemalloc.start()
    try:
        found = table(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [record.key for record in found.records] == ["1", "3"]
    assert [problem.line for problem in found.problems] == [3]
    assert peak < 10_000_000


@pytest.mark.parametrize("behind", ['\n{"id": 2, "title": "Stool"}\n', ""])
def test_an_object_of_forty_megabytes_costs_itself_alone(tmp_path: Path, behind: str) -> None:
    with (tmp_path / "m.jsonl").open("w") as file:
        file.write('{"id": 1, "title": "Lamp"}\n{"id": 9, "overview": "')
        for _ in range(40):
            file.write("x" * 1_000_000)
        file.write(f'"}}{behind}')
    tracemalloc.start()
    try:
        found = read(tmp_path, kind="tmdb", files={"movies": "m.jsonl"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [record.key for record in found.records] == (["1", "2"] if behind else ["1"])
    (problem,) = found.problems
    assert (problem.line, problem.fatal) == (2, not behind)
    assert "longer than 16,000,000 characters" in problem.reason
    assert peak < 120_000_000


def test_an_open_quote_does_not_take_the_rest_of_the_file_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w") as file:
        file.write(f'{HEAD}\n1,Lamp,1990,Bright.\n2,"Open,1991,x\n')
        file.writelines(f"{number},Thing,1990,{'word ' * 20}\n" for number in range(3, 20_003))
    tracemalloc.start()
    try:
        found = table(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.records[0].key == "1"
    assert len(found.records) > 15_000
    assert found.problems[0].line == 3
    assert peak < 40_000_000


def test_json_lines_hide_no_half_characters_and_no_nul(tmp_path: Path) -> None:
    lines(
        tmp_path / "a.jsonl",
        json.dumps({"id": 1, "name": "Lamp", "year": 1990.0, "text": None}),
        r'{"id": 2, "name": "Half \ud83d", "year": 1990}',
        r'{"id": 3, "name": "Nul \u0000", "year": 1990}',
        '{"id": 4, "name": ',
        "[5]",
        json.dumps({"id": 6, "name": "Stool"}),
    )
    found = table(tmp_path, "a.jsonl")
    assert [(record.key, record.year) for record in found.records] == [("1", 1990), ("6", None)]
    assert [problem.line for problem in found.problems] == [2, 3, 4, 5]


def test_lists_and_objects_of_json_lines_are_values(tmp_path: Path) -> None:
    row = {
        "id": "a",
        "name": "Lamp",
        "tags": ["x", {"name": "y"}, None, "x"],
        "by": "Ada|Bram",
        "n": "1,200",
        "m": "many",
    }
    lines(tmp_path / "a.jsonl", json.dumps(row))
    found = read(
        tmp_path,
        kind="table",
        files={"list": "a.jsonl"},
        columns={
            "id": "id", "title": "name", "people": ["by"], "attributes": {"tags": "tags"},
            "counts": {"sold": "n", "seen": "m", "lent": "k"},
        },
    )  # fmt: skip
    (record,) = found.records
    assert (record.people, record.attributes, record.counts) == (
        ("Ada", "Bram"),
        {"tags": ("x", "y")},
        {"sold": 1200.0},
    )
    assert texts(found.problems) == (
        "a.jsonl:1: seen is no number of at least 0: 'many'; it is left out; correct it\n"
        "a.jsonl: no object has 'k'. Its columns are 'id', 'name', 'tags', 'by', 'n', 'm'; "
        "correct the name in the recipe, or leave it out"
    )


def test_lists_of_texts_are_joined_and_objects_in_place_of_texts_refused(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "name": ["Lamp", "Lampe"], "text": ["Bright.", None, "Warm."], "tags": {"name": "x"}},
        {"id": 2, "name": {"de": "Lampe"}, "text": "Bright."},
        {"id": 3, "name": "Stool", "text": {"de": "Niedrig."}},
        {"id": 4, "name": [["Stool"]], "text": ""},
        {"id": 5, "name": "Kettle", "text": None, "tags": [{"no": 1}, ["y"], {"name": {"de": "z"}}, 7]},
        {"id": 6, "name": [], "text": []},
    ]
    lines(tmp_path / "a.jsonl", *(json.dumps(row) for row in rows))
    columns = {"id": "id", "title": "name", "text": "text", "attributes": {"tags": "tags"}}
    found = read(tmp_path, kind="table", files={"list": "a.jsonl"}, columns=columns)
    assert [(record.titles, record.text, record.attributes) for record in found.records] == [
        (("Lamp", "Lampe"), "Bright.\nWarm.", {"tags": ("x",)}),
        (("Kettle",), "", {"tags": ("7",)}),
    ]
    assert [problem.line for problem in found.problems] == [2, 3, 4, 6]
    assert str(found.problems[0]) == (
        "a.jsonl:2: the value in column 'name' is no text: '{\"de\": \"Lampe\"}'; "
        "name a column of texts in the recipe, or correct the row"
    )


def test_a_name_that_no_json_object_has_is_told_with_near_ones(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", *(json.dumps({"id": n, "name": "Lamp", "yeer": 1990}) for n in range(3)))
    found = table(tmp_path, "a.jsonl")
    assert len(found.records) == 3
    (problem,) = found.problems
    assert (problem.line, problem.fatal, problem.used) == (0, False, False)
    assert (
        problem.reason == "no object has 'year', 'text'; is it 'yeer' for 'year'? Its columns are 'id', 'name', 'yeer'"
    )


def test_a_parquet_file_is_read_and_a_damaged_one_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = {"id": [1, 2], "name": ["Lamp", "Stool"], "year": [1990, None], "text": ["Bright.", None]}
    pq.write_table(pa.table(rows), path)
    assert [record.key for record in table(tmp_path, "a.parquet").records] == ["1", "2"]
    path.write_bytes(path.read_bytes()[:-40])
    (problem,) = table(tmp_path, "a.parquet").problems
    assert problem.fatal


def test_empty_files_give_nothing_or_say_that_columns_are_missing(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        (tmp_path / name).touch()
    assert texts(table(tmp_path, "a.jsonl").problems) == (
        "a.jsonl: no row of it was read; check that it is the right file"
    )
    (problem,) = table(tmp_path).problems
    assert problem.fatal
    assert "has no column 'id', 'name', 'year', 'text'" in problem.reason
    lines(tmp_path / "a.csv", HEAD)
    (problem,) = table(tmp_path).problems
    assert problem.used


def test_large_cells_are_read_where_a_form_has_them_and_nowhere_else(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    lines(tmp_path / "a.csv", HEAD, f"1,Lamp,1990,{'x' * 200_000}", "2,Stool,1991,Low.")
    assert [record.key for record in table(tmp_path).records] == ["2"]
    lines(tmp_path / "b.csv", "id,title,overview", f"1,Lamp,{'x' * 200_000}", "2,Stool,Low.")
    found = read(tmp_path, kind="tmdb", files={"movies": "b.csv"})
    assert [len(record.text) for record in found.records] == [200_000, 4]
    assert csv.field_size_limit() == before
