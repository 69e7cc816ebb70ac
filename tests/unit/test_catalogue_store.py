"""The store keeps what it acknowledged, says what changed, and turns every failure into a sentence."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rarec.catalogue import CatalogueStore, Counts, Layout, load_layout
from rarec.errors import InputError, StoreError, UnknownItem
from rarec.types import Item, ItemId


def an_item(name: str, title: str = "Jam", **fields: object) -> Item:
    return Item(ItemId(name), title, **fields)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CatalogueStore]:
    with CatalogueStore.open(tmp_path / "c.db", create=True) as opened:
        yield opened


def test_an_item_comes_back_as_it_was(store: CatalogueStore, tmp_path: Path) -> None:
    item = an_item("ä'1", "Plum\tjam", text="x\n" * 5, year=-44, attributes={"b": ("2", "é"), "a": ()}, popularity=1e-9)
    assert store.add([item]) == Counts(1, 0, 0)
    with CatalogueStore.open(tmp_path / "c.db") as again:
        assert again.get(ItemId("ä'1")) == item
        assert list(again.get(ItemId("ä'1")).attributes) == ["b", "a"]


def test_order_is_that_of_insertion_and_replacing_keeps_the_place(store: CatalogueStore) -> None:
    store.add(an_item(str(i)) for i in range(2500))
    assert store.add([an_item("7", "Tea"), an_item("8"), an_item("new")]) == Counts(1, 1, 1)
    assert store.ids() == (*map(str, range(2500)), "new")
    assert [item.id for item in store] == list(store.ids())
    assert store.get(ItemId("7")).title == "Tea"
    assert len(store) == 2501
    assert ItemId("7") in store
    assert "absent" not in store


def test_the_version_counts_writes_that_changed_something(store: CatalogueStore) -> None:
    assert store.version == 0
    store.add([an_item("a"), an_item("b")])
    store.add([an_item("a")])
    store.add([])
    assert store.version == 1
    store.delete([ItemId("a")])
    assert store.version == 2


def test_changes_since_a_version(store: CatalogueStore) -> None:
    store.add([an_item("a"), an_item("b"), an_item("c")])
    known = store.version
    store.add([an_item("b", "Tea")])
    store.delete([ItemId("a"), ItemId("c"), ItemId("c")])
    assert store.changes_since(known) == (("b",), ("a", "c"))
    store.add([an_item("a")])
    assert store.changes_since(known) == (("b", "a"), ("c",))
    assert store.changes_since(store.version) == ((), ())
    assert store.changes_since(0).changed == ("b", "a")
    with pytest.raises(InputError, match="read all items again"):
        store.changes_since(99)


def test_get_many_keeps_the_order_asked_for(store: CatalogueStore) -> None:
    store.add([an_item("a"), an_item("b")])
    ids = [ItemId("b"), ItemId("x"), ItemId("a"), ItemId("b")]
    assert [item.id for item in store.get_many(ids, missing="skip")] == ["b", "a", "b"]
    with pytest.raises(UnknownItem, match="'x'"):
        store.get_many(ids)
    assert store.get_many([]) == ()


@pytest.mark.parametrize("strange", ["", "\ud800", "x" * 100_000, "a\0"])
def test_a_strange_id_is_just_unknown(store: CatalogueStore, strange: str) -> None:
    store.add([an_item("a")])
    with pytest.raises(UnknownItem):
        store.get(ItemId(strange))
    assert strange not in store


def test_update_and_delete_of_unknown_ids_change_nothing(store: CatalogueStore) -> None:
    store.add([an_item("a")])
    with pytest.raises(UnknownItem, match="'b'"):
        store.update([an_item("a", "Tea"), an_item("b")])
    with pytest.raises(UnknownItem, match="'b'"):
        store.delete([ItemId("a"), ItemId("b")])
    assert store.get(ItemId("a")).title == "Jam"
    assert store.version == 1
    assert store.update([an_item("a", "Tea")]) == Counts(0, 1, 0)


@pytest.mark.parametrize(
    "bad",
    [
        an_item(""),
        an_item("a", " "),
        an_item("a", "\ud800"),
        an_item("a", "x\0"),
        an_item("a", year=9999),
        an_item("a", popularity=-1.0),
        an_item("a", popularity=float("nan")),
        an_item("a", attributes={"x": "abc"}),
        an_item("a", attributes={"x": (1,)}),
        an_item("a", attributes={"": ("x",)}),
    ],
)
def test_a_bad_item_undoes_the_whole_write(store: CatalogueStore, bad: Item) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        store.add([an_item("good"), bad])
    assert len(store) == 0


def test_an_exception_in_the_items_undoes_the_whole_write(store: CatalogueStore) -> None:
    def failing() -> Iterator[Item]:
        yield an_item("a")
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        store.add(failing())
    assert len(store) == 0
    store.add([an_item("b")])
    assert store.ids() == ("b",)


def test_the_layout_is_remembered(tmp_path: Path) -> None:
    with CatalogueStore.open(tmp_path / "c.db", create=True, layout=load_layout("film")) as store:
        store.add([an_item("a")])
        assert store.layout == load_layout("film")
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store:
        assert store.layout == load_layout("film")
        assert store.set_layout(load_layout("film")) == 0
        assert store.version == 1


def test_a_new_layout_changes_the_items_whose_text_it_changes(store: CatalogueStore) -> None:
    store.add(an_item(f"{place}", text="x" * place) for place in range(2500))
    changed = store.set_layout(Layout(name="short", other_attributes=True, max_other_values=8, max_text_chars=100))
    assert changed == 700 - 100 + (2500 - 701)  # what was cut at 700 is cut at 100 now
    assert store.version == 2
    assert store.changes_since(1).changed == tuple(str(place) for place in range(101, 2500))
    assert store.layout.max_text_chars == 100
    assert store.set_layout(Layout(name="other", other_attributes=True, max_other_values=9, max_text_chars=100)) == 0
    assert store.changes_since(2).changed == ()
    assert store.version == 3  # who follows the store must read the layout


def test_a_missing_store_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="rarec init"):
        CatalogueStore.open(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("content", [b"this is text, not a database" * 100, None])
def test_another_file_is_refused_and_left_alone(tmp_path: Path, content: bytes | None, create: bool) -> None:
    path = tmp_path / "c.db"
    if content is None:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE recipes (x)")
        other.close()
        content = path.read_bytes()
    else:
        path.write_bytes(content)
    with pytest.raises(StoreError, match="not a rarec catalogue"):
        CatalogueStore.open(path, create=create)
    assert path.read_bytes() == content


def test_an_empty_file_is_no_store_until_one_is_made_there(tmp_path: Path) -> None:
    (tmp_path / "c.db").touch()
    with pytest.raises(StoreError, match="not a rarec catalogue"):
        CatalogueStore.open(tmp_path / "c.db")
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store:
        assert len(store) == 0


def test_a_store_of_a_newer_rarec_is_refused(tmp_path: Path) -> None:
    CatalogueStore.open(tmp_path / "c.db", create=True).close()
    other = sqlite3.connect(tmp_path / "c.db")
    other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(StoreError, match="upgrade rarec"):
        CatalogueStore.open(tmp_path / "c.db")


def test_a_damaged_store_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with CatalogueStore.open(path, create=True) as store:
        store.add(an_item(str(i), text="x" * 500) for i in range(400))
    with path.open("r+b") as file:  # every page but the first
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with pytest.raises(StoreError, match="damaged"), CatalogueStore.open(path) as store:
        list(store)


def test_a_full_disk_loses_nothing(store: CatalogueStore) -> None:
    store.add(an_item(str(i)) for i in range(50))
    with store._database.connection() as connection:  # the limit is its own
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 5}")
        with pytest.raises(StoreError, match="no space left"):
            store.add(an_item(f"big{i}", text="x" * 4000) for i in range(500))
        assert len(store) == 50
        assert store.version == 1
        connection.execute("PRAGMA max_page_count=100000")
    store.add([an_item("after")])
    assert len(store) == 51


def test_a_locked_store_says_so(tmp_path: Path) -> None:
    with CatalogueStore.open(tmp_path / "c.db", create=True, busy_timeout_s=0.05) as store:
        other = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(StoreError, match="locked by another process"):
                store.add([an_item("a")])
            assert len(store) == 0
        finally:
            other.close()
        store.add([an_item("a")])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="choose a folder that exists"):
        CatalogueStore.open(tmp_path / "none" / "c.db", create=True)


def test_a_closed_store_says_so(store: CatalogueStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="has been closed"):
        len(store)


def test_threads_that_come_and_go_leave_no_connections(store: CatalogueStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's threads live as long as a request; each with a connection of its own, memory and files ran out."""
    store.add([an_item("a")])
    opened: list[str] = []
    connect = sqlite3.connect

    def counted(*args: Any, **more: Any) -> sqlite3.Connection:
        opened.append(str(args[0]))
        return connect(*args, **more)

    monkeypatch.setattr(sqlite3, "connect", counted)
    for _ in range(50):
        thread = threading.Thread(target=lambda: store.get(ItemId("a")))
        thread.start()
        thread.join()
    assert opened == []  # the one that wrote the item was free all the while


def test_threads_read_and_write_together(store: CatalogueStore) -> None:
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for i in range(8):
                store.add([an_item(f"{name}{i}"), an_item(f"{name}{i}b")])
        except BaseException as error:
            errors.append(error)

    def read() -> None:
        try:
            for _ in range(15):
                assert len(store.ids()) % 2 == 0
                assert all(item.title == "Jam" for item in store)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"] + [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store) == 32
    assert store.version == 16


def test_what_changed_is_found_by_its_index(tmp_path: Path) -> None:
    """Following a large store must not read all of it for each new item."""
    with CatalogueStore.open(tmp_path / "c.db", create=True) as store, store._database.connection() as connection:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        store.changes_since(0)
        connection.set_trace_callback(None)
        for query in (query for query in asked if query.startswith("SELECT id")):
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
            assert plan[0].startswith("SEARCH"), plan
        assert sum(query.startswith("SELECT id") for query in asked) == 2
