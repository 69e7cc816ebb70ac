"""A corpus into a store: what is written, what is not, what is refused, and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpora import thing, write_corpus
from corpus_files import write_world
from rarec.catalogue import CatalogueStore
from rarec.catalogue.revisions import RevisionOf, StoreMoved
from rarec.corpus.build import build_corpus
from rarec.corpus.reading import open_corpus
from rarec.corpus.recipe import load_corpus_recipe
from rarec.corpus.update import Updated, UpdateRefused, only_one, update
from rarec.errors import InputError, StoreError
from rarec.types import Item, ItemId


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CatalogueStore]:
    (tmp_path / "store").mkdir()
    with CatalogueStore.open(tmp_path / "store" / "catalogue.sqlite", create=True) as opened:
        yield opened


class Corpora:
    """Writes one corpus after the other and puts them in."""

    def __init__(self, store: CatalogueStore, folder: Path) -> None:
        self.store, self.folder, self.texts, self.number = store, folder, list[str](), 0

    def put(self, items: Iterable[Item], *, name: str = "things", dumps: Any = None, **options: Any) -> Updated:
        self.number += 1
        self.texts = []
        corpus = write_corpus(self.folder / f"corpus-{self.number}", list(items), name=name, dumps=dumps)

        def embed(texts: Iterable[str], total: int) -> None:
            self.texts += texts
            assert len(self.texts) == total

        write = self.store.layout.render
        return update(self.store, open_corpus(corpus), write=write, embed=embed, tell=lambda *_: None, **options)


@pytest.fixture
def corpora(store: CatalogueStore, tmp_path: Path) -> Corpora:
    return Corpora(store, tmp_path)


def counts(done: Updated) -> tuple[int, int, int, int]:
    return done.plan.added, done.plan.changed, done.plan.unchanged, done.plan.retired


def test_the_first_corpus_fills_the_store(corpora: Corpora) -> None:
    items = [thing(i) for i in range(1200)]
    done = corpora.put(items)
    assert counts(done) == (1200, 0, 0, 0)
    assert list(corpora.store) == items
    assert done.revision is not None
    assert (done.revision.number, done.revision.owner, done.revision.added) == (1, "things", 1200)
    assert len(corpora.texts) == 1200


def test_only_what_changed_is_written_and_embedded(corpora: Corpora) -> None:
    items = [thing(i) for i in range(40)]
    corpora.put(items)
    version = corpora.store.version
    now = [
        thing(3, "Ochre Regatta"), thing(4, popularity=5000.0), replace(items[5], attributes={"kind": ("bag", "box")}),
        *items[6:], thing(77),
    ]  # fmt: skip
    done = corpora.put(now)
    assert counts(done) == (1, 3, 34, 3)
    assert dict(done.plan.fields) == {"title": 1, "popularity": 1, "attributes.kind": 1}
    assert corpora.texts == [corpora.store.layout.render(i) for i in (now[0], now[2], now[-1])]  # not the popular one
    assert corpora.store.changes_since(version) == (("t3", "t4", "t5", "t77"), ("t0", "t1", "t2"))
    assert sorted(corpora.store, key=lambda i: i.id) == sorted(now, key=lambda i: i.id)
    assert [shown.id for shown in done.plan.examples["retired"]] == ["t0", "t1", "t2"]
    assert done.plan.examples["changed"][0].fields == ("title",)


def test_the_same_corpus_again_does_nothing(corpora: Corpora) -> None:
    items = [thing(i) for i in range(5)]
    corpora.put(items, dumps={"a": "2026-01-01"})
    version = corpora.store.version
    done = corpora.put(items, dumps={"a": "2026-01-01"})
    assert (done.revision, corpora.store.version, len(corpora.store.revisions.all())) == (None, version, 1)


def test_items_of_others_stay(corpora: Corpora) -> None:
    by_hand, other = thing(900), thing(800)
    corpora.store.add([by_hand])
    corpora.put([other], name="rest")
    corpora.put([thing(i) for i in range(20)])
    done = corpora.put([thing(i) for i in range(19)])
    assert done.plan.by_hand == 1
    assert dict(done.plan.others) == {"rest": 1}
    assert {"t900", "t800"} <= set(corpora.store.ids())
    assert corpora.store.revisions.owners() == {"rest": 1, "things": 19}


def test_what_was_imported_is_the_corpuss_once_it_was_put_in(corpora: Corpora) -> None:
    items = [thing(i) for i in range(20)]
    corpora.store.add(items)
    version = corpora.store.version
    done = corpora.put(items)
    assert counts(done) == (0, 0, 20, 0)
    assert (corpora.store.version, corpora.texts) == (version, [])  # nobody has to look again
    assert counts(corpora.put(items[1:])) == (0, 0, 19, 1)
    corpora.store.revisions.take_back()
    corpora.store.revisions.take_back()
    assert corpora.store.revisions.owners() == {}
    assert sorted(corpora.store.ids()) == sorted(item.id for item in items)


def test_a_dry_run_writes_nothing(corpora: Corpora, tmp_path: Path) -> None:
    corpora.put([thing(i) for i in range(10)], dumps={"a": "2026-06-01"})
    version = corpora.store.version
    done = corpora.put([thing(1, "Other"), thing(50)], dumps={"a": "2026-05-01"}, dry_run=True)
    assert counts(done) == (1, 1, 0, 9)
    assert (done.revision, corpora.texts, corpora.store.version) == (None, [], version)
    assert ["9 of the 10 items" in c or "2026-05-01" in c for c in done.cautions] == [True, True]
    assert [path.name for path in (tmp_path / "store").iterdir() if path.name.startswith(".corpus")] == [
        ".corpus-update.lock"
    ]


def test_too_many_are_not_retired_unforced(corpora: Corpora) -> None:
    corpora.put([thing(i) for i in range(100)])
    with pytest.raises(UpdateRefused, match=r"11 of the 100 items.*more than 10%") as refused:
        corpora.put([thing(i) for i in range(89)])
    assert refused.value.plan.retired == 11
    assert (len(corpora.store), corpora.texts) == (100, [])
    assert counts(corpora.put([thing(i) for i in range(90)])) == (0, 0, 90, 10)
    assert len(corpora.store) == 90
    assert counts(corpora.put([thing(i) for i in range(89)], max_retired=0.02)) == (0, 0, 89, 1)
    with pytest.raises(UpdateRefused):
        corpora.put([thing(0)], max_retired=0.98)
    assert corpora.put([thing(0)], force=True).plan.retired == 88
    with pytest.raises(InputError, match="between 0 and 1"):
        corpora.put([thing(0)], max_retired=10)


def test_an_older_dump_is_refused_unforced(corpora: Corpora) -> None:
    corpora.put([thing(1)], dumps={"a": "2026-06-01T10:00:00", "b": "2026-01-01"})
    with pytest.raises(UpdateRefused, match="dump of 'a' is of 2026-05-31, the store has that of 2026-06-01"):
        corpora.put([thing(2), thing(1)], dumps={"a": "2026-05-31", "c": "2020-01-01"})
    assert len(corpora.store) == 1
    corpora.put([thing(2), thing(1)], dumps={"a": "2026-06-01", "b": "2026-02-01"})  # no time is told
    corpora.put([thing(1), thing(2)], name="other", dumps={"a": "2020-01-01"})  # another corpus has its own dumps
    corpora.put([thing(1), thing(2), thing(3)], dumps={"a": "2019-01-01"}, force=True)
    corpora.store.revisions.take_back()
    with pytest.raises(UpdateRefused, match="2026-02-01"):  # what stands after the way back counts
        corpora.put([thing(1), thing(2), thing(3)], dumps={"b": "2026-01-31"})


def test_the_way_back(corpora: Corpora) -> None:
    corpora.store.add([thing(500)])
    states = [list(corpora.store)]
    for now in ([thing(1), thing(2), thing(3)], [thing(2, "B"), thing(3), thing(4)], [thing(3, year=None), thing(2)]):
        corpora.put(now, force=True)
        states.append(list(corpora.store))
    for state in states[2::-1]:
        version = corpora.store.version
        corpora.store.revisions.take_back()
        assert list(corpora.store) == state  # in the old order too
        assert corpora.store.version == version + 1
    assert [one.taken_back is not None for one in corpora.store.revisions.all()] == [True] * 3
    with pytest.raises(InputError, match="nothing to take back"):
        corpora.store.revisions.take_back()


def test_only_the_last_three_can_be_taken_back(corpora: Corpora) -> None:
    for number in range(5):
        corpora.put([thing(1, f"Version {number}")])
    assert [one.kept for one in corpora.store.revisions.all()] == [False, False, True, True, True]
    for number in (3, 2, 1):
        corpora.store.revisions.take_back()
        assert corpora.store.get(ItemId("t1")).title == f"Version {number}"
    with pytest.raises(InputError, match="kept for the last 3"):
        corpora.store.revisions.take_back()


def test_what_was_changed_by_hand_since_stays(corpora: Corpora) -> None:
    corpora.put([thing(i) for i in range(4)])
    corpora.put([thing(0, "A"), thing(1, "B"), thing(2), thing(8), thing(9)], force=True)  # t3 goes
    corpora.store.add([thing(1, "Mine"), thing(8, "Mine"), thing(3, "Mine")])
    corpora.store.delete([ItemId("t9")])
    done = corpora.store.revisions.take_back()
    assert (done.removed, done.restored, done.returned, done.left) == (0, 1, 0, 4)
    titles = {item.id: item.title for item in corpora.store}
    assert titles == {"t0": thing(0).title, "t1": "Mine", "t2": thing(2).title, "t8": "Mine", "t3": "Mine"}


def test_an_item_that_was_deleted_and_added_by_hand_is_not_the_corpuss(corpora: Corpora) -> None:
    corpora.put([thing(1), thing(2)])
    corpora.store.delete([ItemId("t2")])
    corpora.store.add([thing(2, "Mine")])
    assert counts(corpora.put([thing(1), thing(3)])) == (1, 0, 1, 0)
    assert {item.id: item.title for item in corpora.store}["t2"] == "Mine"
    corpora.store.revisions.take_back()
    corpora.store.revisions.take_back()
    assert [item.title for item in corpora.store] == ["Mine"]


def test_an_item_that_goes_over_to_another_corpus_comes_back(corpora: Corpora) -> None:
    corpora.put([thing(1), thing(2)], name="first")
    corpora.put([thing(1), thing(3)], name="second")
    assert corpora.store.revisions.owners() == {"first": 1, "second": 2}
    corpora.store.revisions.take_back()
    assert corpora.store.revisions.owners() == {"first": 2}


def test_a_store_that_was_written_meanwhile_is_looked_at_again(
    corpora: Corpora, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora.put([thing(1), thing(2)])
    corpus = open_corpus(write_corpus(tmp_path / "next", [thing(1, "New"), thing(2)]))
    written = []

    def embed(texts: Iterable[str], total: int) -> None:
        list(texts)
        if not written:  # somebody else, while the texts are embedded
            written.append(corpora.store.add([thing(2, "By hand"), thing(70)]))

    done = update(corpora.store, corpus, write=corpora.store.layout.render, embed=embed, tell=lambda *_: None)
    assert counts(done) == (0, 2, 0, 0)  # the corpus holds for what it names
    assert [item.title for item in corpora.store] == ["New", thing(2).title, thing(70).title]
    with pytest.raises(StoreMoved, match="try again"):
        corpora.store.revisions.write(RevisionOf("things", [], [], [], {}), expected=0)


def test_one_update_at_a_time(corpora: Corpora) -> None:
    with only_one(corpora.store), pytest.raises(StoreError, match="another update"):
        corpora.put([thing(1)])


def test_a_folder_that_is_no_corpus_is_refused(corpora: Corpora, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no corpus in"):
        open_corpus(tmp_path)
    folder = write_corpus(tmp_path / "c", [thing(1)])
    good = (folder / "corpus.json").read_text()
    for text, said in (("{", "cannot read"), ("[]", "no JSON object"), ("{}", "of format None"),
                       ('{"format": 2}', "of format 2"), ('{"format": 1}', "does not name")):  # fmt: skip
        (folder / "corpus.json").write_text(text)
        with pytest.raises(InputError, match=said):
            open_corpus(folder)
    (folder / "corpus.json").unlink()
    with pytest.raises(InputError, match="cannot read"):
        open_corpus(folder)
    (folder / "corpus.json").write_text(good)
    (folder / "items.parquet").write_text("x")
    with pytest.raises(InputError, match="as Parquet"):
        open_corpus(folder)


def test_sources_may_be_listed(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", [thing(1)])
    manifest = json.loads((folder / "corpus.json").read_text())
    manifest["sources"] = [{"name": "a", "dump_date": "2026-01-01"}, {"name": "b", "dump_date": None}]
    (folder / "corpus.json").write_text(json.dumps(manifest))
    assert dict(open_corpus(folder).dumps) == {"a": "2026-01-01"}


def test_damaged_items_change_nothing(corpora: Corpora) -> None:
    corpora.put([thing(1)])
    version = corpora.store.version
    with pytest.raises(InputError, match="has the id 't2' twice"):
        corpora.put([thing(1), thing(2), thing(2)])
    with pytest.raises(InputError, match="row 2: title is empty"):
        corpora.put([thing(1), thing(2, " ")])
    assert corpora.store.version == version


def test_sources_that_were_not_read_or_shrank_are_refused_unforced(store: CatalogueStore, tmp_path: Path) -> None:
    goods = [{"sku": f"s{number}", "name": f"Quarry {number}"} for number in range(20)]

    def put(name: str, shop: list[dict[str, Any]], library: str | None = None, **options: Any) -> Updated:
        recipe = write_world(tmp_path / name / "dumps", shop=shop)
        if library is not None:
            (tmp_path / name / "dumps" / "library.csv").write_text(library, encoding="utf-8")
        out = tmp_path / name / "books"
        build_corpus(load_corpus_recipe(recipe), out, progress=lambda *_: None)
        corpus = open_corpus(out)
        return update(store, corpus, write=store.layout.render, embed=None, tell=lambda *_: None, **options)

    with pytest.raises(UpdateRefused, match="the source 'library' was read not at all"):
        put("wrong", goods, "no;title\n1;Solo\n")
    with pytest.raises(UpdateRefused, match="the source 'shop' was read not at all"):
        put("empty", [])
    assert len(store) == 0
    assert put("first", goods).plan.added == 24
    with pytest.raises(UpdateRefused, match=r"'shop' has 17 records, and had 20 .*more than 10% are gone"):
        put("less", goods[3:], max_retired=1)
    assert put("few", goods[2:], max_retired=1).plan.retired == 2
    assert put("forced", goods[:5], max_retired=1, force=True).revision is not None
    assert len(put("looked", goods[:2], max_retired=1, dry_run=True).cautions) == 1
