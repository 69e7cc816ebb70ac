"""A corpus folder: what is in it, its ids, and when there is none."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpus_files import SHOP, write_world
from rarec.catalogue import CatalogueStore, import_items
from rarec.corpus import build as build_module
from rarec.corpus.build import Built, build_corpus
from rarec.corpus.explain import explain
from rarec.corpus.recipe import load_corpus_recipe
from rarec.corpus.sources import reader_of
from rarec.errors import InputError, SettingsError, StoreError, UnknownItem


def build(recipe: Path, out: Path, **options: Any) -> Built:
    return build_corpus(load_corpus_recipe(recipe), out, progress=lambda *_: None, **options)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    out = tmp_path / "books"
    build(write_world(tmp_path / "dumps"), out)
    return out


def items_of(corpus: Path) -> list[dict[str, Any]]:
    return pq.read_table(corpus / "items.parquet").to_pylist()


def test_the_items_are_merged_ordered_and_named(corpus: Path, tmp_path: Path) -> None:
    solo, harbour, *twice = items_of(corpus)
    assert (solo["id"], solo["title"], solo["year"], solo["popularity"]) == ("isbn-i2", "Solo", 2001, 18.0)
    assert harbour["id"] == "isbn-i1"
    assert harbour["text"] == "A port."
    assert harbour["attributes.kind"] == ["novel", "sea"]
    assert harbour["attributes.aka"] == ["Harbour, Grey"]
    assert [row["id"] for row in twice] == ["isbn-i10", "isbn-i9", "shop-s3"]
    assert sorted(path.name for path in corpus.iterdir()) == [
        "corpus.json", "evidence.sqlite", "items.parquet", "problems.jsonl"
    ]  # fmt: skip
    assert not (tmp_path / "books-work").exists()


def test_a_store_takes_it_as_it_is(corpus: Path, tmp_path: Path) -> None:
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store:
        done = import_items(store, corpus / "items.parquet")
        assert (done.added, done.rejected) == (5, ())
        assert {item.id: item.attributes for item in store}["isbn-i1"]["kind"] == ("novel", "sea")


def test_the_manifest_says_what_was_read_and_what_came_of_it(corpus: Path) -> None:
    manifest = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    assert (manifest["format"], manifest["name"]) == (1, "books")
    shop, library = manifest["sources"]["shop"], manifest["sources"]["library"]
    assert (shop["dump_date"], shop["records"], library["records"]) == ("2026-01-02", 3, 4)
    assert shop["files"][0]["path"] == "shop.jsonl"
    assert shop["files"][0]["rows"] == 3
    assert len(shop["files"][0]["sha256"]) == 64
    assert manifest["counts"]["items"] == 5
    assert manifest["counts"]["unions"] == {"same_id": 1, "a_person": 1}
    assert manifest["recipe"]["popularity"] == {"sold": 2.0}


def test_every_item_is_explained(corpus: Path) -> None:
    harbour = explain("isbn-i1", corpus)
    assert [record.name for record in harbour.records] == ["shop:s1", "library:1"]
    (why,) = harbour.unions
    assert (why.reason, why.text) == ("same_id", "the same id: isbn")
    assert why.shared == ("isbn i1", "year 1990", "Ann Lee")
    assert [record.name for record in harbour.fields["text"]] == ["shop:s1"]
    assert [record.name for record in harbour.fields["attributes.kind"]] == ["library:1"]
    (why,) = explain("isbn-i2", corpus).unions
    assert (why.reason, why.shared) == ("a_person", ("title 'Solo'", "year 2001", "Bo Marsh"))
    twice = explain("shop:s3", corpus)
    assert (twice.item, twice.asked) == ("shop-s3", "shop:s3 is one of its records")
    assert [(why.reason, why.other.item) for why in twice.refused] == [
        ("not_unique", "isbn-i9"), ("not_unique", "isbn-i10")
    ]  # fmt: skip
    assert explain("i9", corpus).item == "isbn-i9"
    assert [why.reason for why in explain("i9", corpus).refused] == ["not_unique", "ids_differ"]
    with pytest.raises(UnknownItem, match="SOURCE:KEY"):
        explain("nothing", corpus)
    with pytest.raises(StoreError, match="corpus build"):
        explain("isbn-i1", corpus / "nowhere")


def test_provenance_is_a_table_that_can_be_asked(corpus: Path) -> None:
    with closing(sqlite3.connect(corpus / "evidence.sqlite")) as evidence:
        rows = evidence.execute("SELECT field, source, key FROM provenance WHERE item = 'isbn-i2' ORDER BY field")
        assert rows.fetchall() == [
            ("attributes.kind", "library", "2"), ("title", "shop", "s2"), ("year", "shop", "s2")
        ]  # fmt: skip


def test_the_same_dumps_give_the_same_corpus(corpus: Path, tmp_path: Path) -> None:
    recipe = write_world(tmp_path / "again", shop=SHOP[::-1])
    build(recipe, tmp_path / "other")
    assert items_of(tmp_path / "other") == items_of(corpus)


def test_ids_are_kept_from_an_earlier_corpus(corpus: Path, tmp_path: Path) -> None:
    new = [dict(row) for row in SHOP]
    new[0]["isbn"] = "i1-corrected"  # alone it would be called by this now
    new[2] |= {"by": ["Eve Fox"], "isbn": "i10"}  # was an item of its own, and turns out to be another's
    build(write_world(tmp_path / "new", shop=new), tmp_path / "second", previous=corpus)
    items = {row["id"]: row for row in items_of(tmp_path / "second")}
    assert set(items) == {"isbn-i1", "isbn-i1-corrected", "isbn-i2", "isbn-i9", "isbn-i10"}
    assert items["isbn-i1"]["title"] == "Harbour, Grey"  # the half that the id still names
    gone = explain("shop-s3", tmp_path / "second")
    assert gone.item == "isbn-i10"
    assert "earlier corpus (merged)" in gone.asked
    build(tmp_path / "new" / "books.toml", tmp_path / "third", previous=tmp_path / "second")
    assert items_of(tmp_path / "third") == items_of(tmp_path / "second")
    assert explain("shop-s3", tmp_path / "third").item == "isbn-i10"
    build(write_world(tmp_path / "dumps"), tmp_path / "back", previous=tmp_path / "third")
    back = {row["id"] for row in items_of(tmp_path / "back")}
    assert back == {"isbn-i1-corrected", "isbn-i2", "isbn-i9", "isbn-i10", "shop-s3"}  # the more popular old item
    assert explain("isbn-i1", tmp_path / "back").item == "isbn-i1-corrected"


def test_without_ids_the_half_with_the_most_records_keeps_the_name(tmp_path: Path) -> None:
    shop = [{"sku": f"s{n}", "name": "Solo", "made": 2001, "by": ["Bo Marsh"], "isbn": ""} for n in range(3)]
    build(write_world(tmp_path / "old", shop=shop), tmp_path / "one")
    before = explain("library:2", tmp_path / "one")
    assert (before.item, len(before.records)) == ("shop-s0", 4)
    shop[0] |= {"name": "Another"}
    build(write_world(tmp_path / "new", shop=shop), tmp_path / "two", previous=tmp_path / "one")
    assert explain("library:2", tmp_path / "two").item == "shop-s0"
    assert explain("shop:s0", tmp_path / "two").item == "shop-s0-2"


def test_nothing_is_written_over_and_nothing_without_files(tmp_path: Path) -> None:
    recipe = write_world(tmp_path / "dumps")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="is there already"):
        build(recipe, tmp_path / "there")
    with pytest.raises(StoreError, match="no corpus"):
        build(recipe, tmp_path / "books", previous=tmp_path / "there")
    (tmp_path / "dumps" / "shop.jsonl").unlink()
    with pytest.raises(SettingsError, match=r"shop\.jsonl"):
        build(recipe, tmp_path / "books")
    assert not (tmp_path / "books").exists()


def test_a_work_folder_that_the_corpus_cannot_be_moved_from_is_refused_at_once(tmp_path: Path) -> None:
    recipe = write_world(tmp_path / "dumps")
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second disk")
    work = memory / tmp_path.name / "work"
    with pytest.raises(InputError, match="is not on the disk of"):
        build(recipe, tmp_path / "books", work=work)
    assert not work.parent.exists()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="choose another folder"):
        build(recipe, tmp_path / "file" / "books")


def test_a_recipe_can_stop_at_a_bad_row(tmp_path: Path) -> None:
    recipe = write_world(tmp_path / "dumps", on_bad="stop", shop=[*SHOP, {"sku": "s4", "name": "", "made": 1}])
    with pytest.raises(InputError, match=r"(?s)no corpus was made.*shop\.jsonl:4"):
        build(recipe, tmp_path / "books")
    assert not (tmp_path / "books").exists()
    recipe.write_text(recipe.read_text(encoding="utf-8").replace('"stop"', '"skip"'), encoding="utf-8")
    assert build(recipe, tmp_path / "books").written.items == 5
    (problem,) = (tmp_path / "books" / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(problem)["line"] == 4


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(kind: str) -> Any:
        def reader(source: Any, *rest: Any, **options: Any) -> Iterator[Any]:
            read.append(source.name)
            return reader_of(kind)(source, *rest, **options)

        return reader

    monkeypatch.setattr(build_module, "reader_of", counted)
    recipe, work = write_world(tmp_path / "dumps"), tmp_path / "work"
    build(recipe, tmp_path / "one", work=work)
    assert read == ["shop", "library"]
    again = build(recipe, tmp_path / "two", work=work)
    assert read == ["shop", "library"]
    assert [source.read for source in again.sources] == [False, False]
    assert items_of(tmp_path / "one") == items_of(tmp_path / "two")
    with (tmp_path / "dumps" / "shop.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"sku": "s5", "name": "New", "made": 2026}) + "\n")
    assert build(recipe, tmp_path / "three", work=work).written.items == 6
    assert read == ["shop", "library", "shop"]
    text = recipe.read_text(encoding="utf-8").replace('year = "year"\n', "")
    recipe.write_text(text, encoding="utf-8")
    build(recipe, tmp_path / "four", work=work)
    assert read == ["shop", "library", "shop", "library"]


def test_a_recipe_says_what_must_not_differ(tmp_path: Path) -> None:
    shop = [{"sku": "s2", "name": "Solo", "made": 2001, "by": ["Bo Marsh"], "isbn": "", "sort": "film"}]
    recipe = write_world(tmp_path / "dumps", shop=shop)
    text = recipe.read_text(encoding="utf-8").replace(
        'counts = { sold = "sold" }', 'attributes = { kind = "sort" }\ncounts = { sold = "sold" }'
    )
    recipe.write_text(text, encoding="utf-8")
    assert build(recipe, tmp_path / "apart").written.refused == {"ids_differ": 1, "facts_differ": 1}
    recipe.write_text(text + "[resolve]\nfacts = []\n", encoding="utf-8")
    assert build(recipe, tmp_path / "together").written.unions == {"a_person": 1}


def test_a_dump_that_is_written_while_it_is_read_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    recipe = load_corpus_recipe(write_world(tmp_path / "dumps"))
    shop = tmp_path / "dumps" / "shop.jsonl"

    def write(stage: str, *_: object) -> None:
        if stage == "shop: shop.jsonl":
            shop.write_text(shop.read_text() + json.dumps({**SHOP[1], "sku": "s9", "isbn": "i99"}) + "\n")

    with pytest.raises(InputError, match=r"shop\.jsonl' was written while it was read; wait"):
        build_corpus(recipe, tmp_path / "out", progress=write)
    build_corpus(recipe, tmp_path / "out", progress=lambda *_: None)
    assert "isbn-i99" in {row["id"] for row in items_of(tmp_path / "out")}


def test_an_earlier_corpus_that_is_damaged_is_named(corpus: Path, tmp_path: Path) -> None:
    evidence = corpus / "evidence.sqlite"
    content = evidence.read_bytes()
    evidence.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StoreError, match=r"cannot use the evidence .*books/evidence\.sqlite"):
        build(tmp_path / "dumps" / "books.toml", tmp_path / "next", previous=corpus)


def test_an_item_that_the_catalogue_would_refuse_is_told_or_stops_the_build(tmp_path: Path) -> None:
    shop = [{**SHOP[0], "isbn": "i\u200b1"}, SHOP[1]]
    skipping = write_world(tmp_path / "skip", shop=shop)
    assert build(skipping, tmp_path / "out").written.refused_items == 1
    assert "control character" in (tmp_path / "out" / "problems.jsonl").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"would refuse 1 items and on_bad is .stop."):
        build(write_world(tmp_path / "stop", on_bad="stop", shop=shop), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_long_texts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    shop = [{**SHOP[1], "sku": f"s{n}", "isbn": f"i{n}", "about": f"{n} " + "word " * 190_000} for n in range(120)]
    recipe = write_world(tmp_path / "dumps", shop=shop)
    build(recipe, tmp_path / "out")
    assert pq.ParquetFile(tmp_path / "out" / "items.parquet").num_row_groups == 3


def test_placeholders_name_no_item_and_shared_ids_are_told(tmp_path: Path) -> None:
    rows = [{"sku": f"s{number}", "name": f"Jam {number}", "isbn": "978-1"} for number in range(6)]
    rows += [{"sku": "n1", "name": "Rye", "isbn": "n/a"}, {"sku": "n2", "name": "Salt", "isbn": "0"}]
    out = tmp_path / "books"
    built = build(write_world(tmp_path / "dumps", shop=rows), out)
    names = {row["id"] for row in items_of(out)}
    assert {f"shop-{row['sku']}" for row in rows} <= names
    assert built.written.shared == ("isbn 978-1",)
    assert built.written.refused["ambiguous_id"] == 5
    told = [json.loads(line) for line in (out / "problems.jsonl").read_text(encoding="utf-8").splitlines()]
    (shared,) = [one for one in told if "978-1" in one["reason"]]
    assert shared["reason"] == "the isbn id '978-1' is said of 6 records of several things"
    assert (shared["source"], shared["line"], shared["used"]) == ("shop", 1, True)
    (why,) = explain("shop-s0", out).refused
    assert why.text == "the id is said of several things that differ: isbn 978-1"


def test_refusals_and_unions_say_what_was_held_against_each_other(tmp_path: Path) -> None:
    shop = [
        {"sku": "s1", "name": "Solo", "made": 2001, "by": ["Bo Marsh"], "isbn": "i1"},
        {"sku": "s2", "name": "Solo", "made": 2001, "by": ["Ann Lee", "Cy Orr", "Dee Fox", "Eve Vale"], "isbn": ""},
        {"sku": "s3", "name": "Twice", "made": None, "by": ["Dee Orr"], "isbn": ""},
        {"sku": "s4", "name": "Harbour, Grey", "made": 1994, "by": ["Ann Lee"], "isbn": "i1994"},
    ]
    recipe = write_world(tmp_path / "dumps", shop=shop)
    out = tmp_path / "books"
    build(recipe, out)
    apart = {why.reason: why.text for why in explain("shop:s2", out).refused}
    assert apart["nobody_in_common"].endswith(": Ann Lee, Cy Orr, Dee Fox, ... / Bo Marsh")
    apart = {why.reason: why.text for why in explain("library:3", out).refused}
    assert apart["ids_differ"] == "ids differ: isbn i9 / i10"
    (why,) = explain("shop:s3", out).unions
    assert why.text == "the title and a main person agree, a year is unknown"


def test_a_year_that_only_overlaps_is_not_told_as_the_same(tmp_path: Path) -> None:
    """One group spans 1990 to 1994 by an id; a record of 1992 lies between."""
    shop = [{"sku": "s1", "name": "Grey Harbour", "made": 1994, "by": ["Ann Lee"], "isbn": "i1"}]
    recipe = write_world(tmp_path / "dumps", shop=shop)
    text = recipe.read_text(encoding="utf-8")
    extra = text[text.index('[[sources]]\nname = "library"') : text.index("[popularity]")]
    extra = (
        extra.replace('"library"', '"third"').replace("library.csv", "third.csv").replace('ids = { isbn = "isbn" }', "")
    )
    recipe.write_text(text + "[resolve]\nyear_slack = 0\n" + extra, encoding="utf-8")
    third = "no,title,year,author,isbn,kind\nt1,Grey Harbour,1992,Ann Lee,,\n"
    (tmp_path / "dumps" / "third.csv").write_text(third, encoding="utf-8")
    build(recipe, tmp_path / "books")
    told = {why.reason: why.text for why in explain("third:t1", tmp_path / "books").unions}
    assert "1992 lie within the years" in told["a_person"] or "1992 and" in told["a_person"]
    assert "title, year" not in told["a_person"]


def test_titles_and_near_ids_are_answered_with_ids(corpus: Path) -> None:
    for asked in ("grey harbour", "Grey", "isbn-i1x"):
        with pytest.raises(UnknownItem, match=r"Did you mean .*isbn-i1 \(Grey Harbour, 1990\)"):
            explain(asked, corpus)
    with pytest.raises(UnknownItem) as error:
        explain("100%_\\", corpus)
    assert "Did you mean" not in str(error.value)


def test_fields_have_their_values(corpus: Path) -> None:
    found = explain("isbn-i1", corpus)
    assert (found.values["title"], found.values["year"], found.values["text"]) == ("Grey Harbour", 1990, "A port.")
    assert found.values["attributes.kind"] == ("novel", "sea")
    (corpus / "items.parquet").unlink()
    assert explain("isbn-i1", corpus).values == {}
