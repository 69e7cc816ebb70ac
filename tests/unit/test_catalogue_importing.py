"""Every row of a catalogue file is taken as it is meant, or refused with its line and a reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from rarec.catalogue import CatalogueStore, Rejection, RowsRejected, import_items, read_items
from rarec.errors import ImportRejected, InputError
from rarec.types import Item, ItemId

JAM = {"id": "j1", "title": "Plum jam", "year": 2019, "text": "Dark.", "popularity": 3, "colour": ["red", "blue"]}
TEA = {"id": "t1", "title": "Smoked tea"}


def written(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines))
    return path


def reasons(path: Path) -> dict[int, str]:
    return {row.line: row.reason for row in read_items(path) if isinstance(row, Rejection)}


def test_jsonl_reads_fields_and_makes_attributes_of_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", json.dumps(JAM), "", json.dumps(TEA))
    first, second = read_items(path)
    assert first == Item(ItemId("j1"), "Plum jam", "Dark.", 2019, {"colour": ("red", "blue")}, 3.0)
    assert second == Item(ItemId("t1"), "Smoked tea")


def test_compressed_files_read_like_plain_ones(tmp_path: Path) -> None:
    lines = (json.dumps(JAM) + "\n" + json.dumps(TEA) + "\n").encode()
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    half = len(lines) // 2
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(lines[:half]) + zstandard.compress(lines[half:]))
    expected = list(read_items(plain))
    assert list(read_items(tmp_path / "a.jsonl.gz")) == expected
    assert list(read_items(tmp_path / "a.jsonl.zst")) == expected


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_damaged_archive_is_an_input_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl.{ending}"
    path.write_bytes(b"this is no archive at all")
    with pytest.raises(InputError, match="cannot read"):
        list(read_items(path))


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("zst", zstandard.compress)])
def test_an_archive_that_is_cut_short_is_an_input_error(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a.jsonl.{ending}"
    lines = "".join(json.dumps({"id": f"{i}", "title": f"{i * i}"}) + "\n" for i in range(20_000))
    path.write_bytes(compress(lines.encode()))
    assert sum(isinstance(row, Item) for row in read_items(path)) == 20_000
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="complete"):
        list(read_items(path))


def test_a_mapping_names_columns_and_loses_none(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "sku,name,kind,stock,year", 's1,"Jam, plum",sweet | dark,4,2019.0', "s2,Tea,,5,")
    rows = list(read_items(path, columns={"id": "sku", "title": "name", "attributes.taste": "kind"}))
    assert rows == [
        Item(ItemId("s1"), "Jam, plum", "", 2019, {"taste": ("sweet", "dark"), "stock": ("4",)}),
        Item(ItemId("s2"), "Tea", attributes={"stock": ("5",)}),
    ]


def test_csv_without_a_mapping_splits_every_other_column(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "\ufeffid,title,taste", "1,Jam,sweet;dark")
    assert list(read_items(path, list_separator=";")) == [
        Item(ItemId("1"), "Jam", attributes={"taste": ("sweet", "dark")})
    ]


def test_csv_line_numbers_survive_quoted_newlines(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id,title,text", '1,Jam,"two', 'lines"', "2,Tea", "3,,x")
    assert reasons(path) == {4: "2 fields, the header has 3: ['2', 'Tea']", 5: "title is empty: ''"}


def test_tsv_uses_tabs(tmp_path: Path) -> None:
    assert [row.title for row in read_items(written(tmp_path / "a.tsv", "id\ttitle", "1\tJam, plum"))] == ["Jam, plum"]


def test_a_number_that_is_nan_is_missing(tmp_path: Path) -> None:
    nan = float("nan")
    row = {"id": "1", "title": "Jam", "text": nan, "year": nan, "popularity": nan, "price": nan, "sizes": [nan, 2.5]}
    nested = {"id": "2", "title": "Tea", "attributes": {"price": nan}}
    expected = [Item(ItemId("1"), "Jam", attributes={"sizes": ("2.5",)}), Item(ItemId("2"), "Tea")]
    assert list(read_items(written(tmp_path / "a.jsonl", json.dumps(row), json.dumps(nested)))) == expected
    path = tmp_path / "a.parquet"
    columns = {name: [value] for name, value in row.items() if name != "text"}
    pq.write_table(pa.table(columns | {"year": pa.array([nan], pa.float64())}), path)
    assert list(read_items(path)) == expected[:1]


def test_parquet_keeps_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"id": 7, "title": "Jam", "taste": ["a|b", "c"]}, {"id": 8, "title": None, "taste": None}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    item, rejected = read_items(path)
    assert item == Item(ItemId("7"), "Jam", attributes={"taste": ("a|b", "c")})
    assert rejected == Rejection(2, "title is empty: None")


def test_a_file_that_is_no_parquet_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="as Parquet"):
        list(read_items(written(tmp_path / "a.parquet", "nothing of the kind")))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "", "title": "x"}', "id is empty"),
        ('{"id": null, "title": "x"}', "id is empty"),
        ('{"id": ["a"], "title": "x"}', "neither text"),
        ('{"id": "a\\nb", "title": "x"}', "control character"),
        ('{"id": "1", "title": "  "}', "title is empty"),
        ('{"id": "1"}', "title is empty"),
        ('{"id": "1", "title": "x", "year": "soon"}', "year is not a whole number: 'soon'"),
        ('{"id": "1", "title": "x", "year": 1999.5}', "year is not a whole number: 1999.5"),
        ('{"id": "1", "title": "x", "year": true}', "year is not a whole number: True"),
        ('{"id": "1", "title": "x", "year": 3001}', "year is outside -3000..3000: 3001"),
        ('{"id": "1", "title": "x", "popularity": -1}', "popularity must be finite and not negative: -1.0"),
        ('{"id": "1", "title": "x", "popularity": Infinity}', "popularity must be finite"),
        ('{"id": NaN, "title": "x"}', "id is empty"),
        ('{"id": "1", "title": NaN}', "title is empty"),
        ('{"id": "1", "title": "x", "popularity": "many"}', "popularity is not a number: 'many'"),
        ('{"id": "1", "title": "x", "popularity": 1' + "0" * 400 + "}", "popularity is not a number"),
        ('{"id": "1", "title": "x", "text": 5}', "text is not text: 5"),
        ('{"id": "1", "title": "x", "size": {"a": 1}}', "attribute 'size' is nested"),
        ('{"id": "1", "title": "x", "size": [["a"]]}', "attribute 'size' is nested"),
        ('{"id": "1", "title": "x", "attributes": [1]}', "attributes is not an object"),
        ('{"id": "1", "title": "x\\u0000y"}', "title contains a NUL"),
        ('{"id": "1", "title": "\\ud800"}', "title is not valid UTF-8"),
        ('{"id": "1", "title": "x', "not valid JSON"),
        ("[1, 2]", "not a JSON object: [1, 2]"),
        ("[" * 100_000, "not valid JSON (too deep"),
        ("9" * 5000, "not valid JSON (too deep or a number too long"),
        (b'{"id": "1", "title": "caf\xe9"}', "not valid UTF-8"),
        (b'{"id": "1", "title": "x\0"}', "NUL byte"),
        ('{"id": "1", "title": "' + "x" * 1_000_001 + '"}', "longer than 1,000,000 bytes"),
    ],
)
def test_a_bad_line_is_refused_with_a_reason_and_the_next_one_read(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    rows = list(read_items(written(tmp_path / "a.jsonl", json.dumps(JAM), line, json.dumps(TEA))))
    assert [type(row) for row in rows] == [Item, Rejection, Item]
    assert rows[1].line == 2
    assert reason in rows[1].reason
    assert len(rows[1].reason) < 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"2,caf\xe9", "not valid UTF-8"),
        (b"2,x\0", "NUL byte"),
        (b"2," + b"x" * 1_000_001, "longer than 1,000,000 bytes"),
        (b"2," + b"x" * 200_000, "not valid CSV"),
        (b'2,"x"y', "not valid CSV"),
    ],
)
def test_a_bad_csv_line_is_refused_and_the_next_one_read(tmp_path: Path, line: bytes, reason: str) -> None:
    rows = list(read_items(written(tmp_path / "a.csv", "id,title", "1,Jam", line, "3,Tea")))
    assert [type(row) for row in rows] == [Item, Rejection, Item]
    assert rows[1].line == 3
    assert reason in rows[1].reason


def test_a_quote_left_open_at_the_end_is_refused(tmp_path: Path) -> None:
    assert list(reasons(written(tmp_path / "a.csv", "id,title", '1,"Jam'))) == [2]


def test_an_id_twice_names_the_first_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", json.dumps(TEA), json.dumps(JAM), json.dumps(TEA))
    assert reasons(path) == {3: "id 't1' is already that of line 1"}


def test_missing_ids_are_made_of_title_and_year_and_kept_apart(tmp_path: Path) -> None:
    lines = [{"title": "Été d'Or", "year": 1999}, {"title": "ete dor", "year": 1999}, {"title": "!!!"}, {"title": "茶"}]
    ids = [row.id for row in read_items(written(tmp_path / "a.jsonl", *map(json.dumps, lines)))]
    assert ids[:2] == ["ete-dor-1999", "ete-dor-1999-2"]
    assert ids[2].startswith("item-")
    assert ids[3] == "茶"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.txt", "x", {}, "cannot tell the format"),
        ("a.jsonl", "{}", {"format": "xml"}, "unknown format 'xml'"),
        ("a.csv", "id;title\n1;Jam", {}, "no column 'title' .* seem to stand between ';': give --delimiter ';'"),
        ("a.csv", "id\ttitle\n1\tJam", {}, r"between a tab: give --delimiter \$'\\t'"),
        ("a.csv", "id,Titel\n1,Jam", {}, "has the columns id, Titel; is 'Titel' meant.*--map title=Titel$"),
        ("a.csv", "id,label\n1,Jam", {}, "has the columns id, label; say which .* --map title=COLUMN$"),
        ("a.csv", "id,my title\n1,Jam", {}, "--map 'title=my title'$"),
        ("a.csv", "id,title\n1,Jam", {"columns": {"year": "made"}}, "no column 'made' for the year"),
        ("a.csv", "id,title\n1,Jam", {"columns": {"colour": "c"}}, "unknown field 'colour' to map"),
        ("a.csv", "id,title\n1,Jam", {"delimiter": "ab"}, "the delimiter 'ab'"),
        ("a.jsonl", "{}", {"delimiter": ";"}, "a CSV file"),
        ("a.csv", "id,title,title\n1,Jam,Jam", {}, "twice"),
    ],
)
def test_a_file_that_cannot_be_understood_says_why(
    tmp_path: Path, name: str, content: str, options: dict[str, object], message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        list(read_items(tmp_path / name, **options))  # type: ignore[arg-type]


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        list(read_items(tmp_path / "none.jsonl"))


def test_a_utf16_csv_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id,title\n1,Jam\n".encode("utf-16"))
    with pytest.raises(InputError, match="save the file as UTF-8, for example with: iconv -f UTF-16 "):
        list(read_items(tmp_path / "a.csv"))


def test_a_missing_column_lists_all_that_are_there(tmp_path: Path) -> None:
    names = [f"column_number_{number}" for number in range(40)]
    path = written(tmp_path / "a.csv", ",".join(names), ",".join(names))
    with pytest.raises(InputError) as caught:
        list(read_items(path))
    assert ", ".join(names) in str(caught.value)


def test_a_delimiter_is_used(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id;title", '1;"Jam; plum"')
    assert [row.title for row in read_items(path, delimiter=";") if isinstance(row, Item)] == ["Jam; plum"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_ids_that_came_from_a_mapped_column_are_not_invented_later(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.csv":
        written(path, "sku,title,made", "7,Jam,1990")
    else:
        written(path, json.dumps({"sku": "7", "title": "Jam", "made": 1990}))
    columns = {"id": "sku", "year": "made"}
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store:
        assert store.columns == {}
        import_items(store, path, columns=columns)
        assert store.columns == columns
        for wrong in (None, {"year": "made"}):
            with pytest.raises(InputError, match=r"stand there twice\. As before: --map id=sku --map year=made;"):
                import_items(store, path, columns=wrong)
        assert store.ids() == ("7",)
        assert import_items(store, path, columns=columns).unchanged == 1
    with CatalogueStore.open(tmp_path / "c.db") as store:
        assert import_items(store, path, columns={"id": "title"}).added == 1, "another id that is asked for is meant"
        assert store.columns == {"id": "title"}
        plain = written(tmp_path / "plain.jsonl", json.dumps({"id": "8", "name": "x", "title": "Tea"}))
        store.add((), columns={"id": "sku"})
        assert import_items(store, plain).added == 1, "a file without that column has ids of its own"


def test_a_file_in_another_encoding_is_told_how_to_convert(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id,title", "1,Café".encode("latin-1"))
    told = r"iconv -f WINDOWS-1252 -t UTF-8 .*a\.csv > utf8-a\.csv"
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store, pytest.raises(ImportRejected, match=told):
        import_items(store, path)


def test_an_import_counts_what_it_did(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", json.dumps(JAM), json.dumps(TEA))
    seen: list[int] = []
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store:
        assert import_items(store, path, progress=seen.append).added == 2
        report = import_items(store, path, progress=seen.append)
        assert (report.added, report.updated, report.unchanged, report.rejected) == (0, 0, 2, ())
        assert seen == [2, 2]
        written(path, json.dumps({**TEA, "title": "Green tea"}))
        assert import_items(store, path).updated == 1
        assert [item.title for item in store] == ["Plum jam", "Green tea"]


def test_one_bad_row_imports_nothing_and_lists_ten(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", json.dumps(JAM), *['{"id": ""}'] * 12)
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store:
        with pytest.raises(ImportRejected) as caught:
            import_items(store, path)
        message = str(caught.value)
        assert "12 rows" in message
        assert message.count("\n  line ") == 10
        assert "line 11:" in message
        assert "line 12:" not in message
        assert "2 more" in message
        assert "--skip-bad" in message
        assert isinstance(caught.value, RowsRejected)
        assert len(caught.value.rejections) == 12
        assert len(store) == 0
        assert store.version == 0


def test_skip_bad_imports_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", json.dumps(JAM), '{"id": ""}', json.dumps(TEA))
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store:
        report = import_items(store, path, skip_bad=True)
        assert report.added == 2
        assert [rejection.line for rejection in report.rejected] == [2]
        assert store.ids() == ("j1", "t1")


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", ""), ("a.jsonl", "\n\n"), ("a.csv", ""), ("a.csv", "title\n")]
)
def test_an_empty_file_says_so(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with (
        CatalogueStore.open(tmp_path / "c.db", create=True) as store,
        pytest.raises(InputError, match="has no rows"),
    ):
        import_items(store, tmp_path / name)
