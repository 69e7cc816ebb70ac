"""What the exact index refuses, keeps and promises to several threads."""

import threading

import numpy as np
import pytest

from rarec.errors import InputError, UnknownItem
from rarec.index import ExactIndex
from rarec.index.engines import ORDER, load_engine
from rarec.index.quantise import quantise
from rarec.index.select import int8_scores, unit_query
from rarec.index.table import Table
from rarec.types import Filters, Item, ItemId


def item(id, year=None, **attributes):
    return Item(ItemId(id), f"title {id}", year=year, attributes=attributes)


@pytest.fixture
def index():
    index = ExactIndex(2)
    items = [item("a", 1990, genres=("Drama",)), item("b", 2000, genres=("War", "Drama")), item("c", genres=("War",))]
    index.add(items, np.array([[1, 0], [2, 0], [0, 5]], dtype=np.float32))
    return index


def ids(index, **filters):
    return index.search(np.array([[1, 0.1]], dtype=np.float32), n=9, filters=Filters(**filters))[0].ids


def test_best_first_with_inner_products(index):
    (hits,) = index.search(np.array([[1, 0.1]], dtype=np.float32), n=2)
    assert hits.ids == ("b", "a")
    np.testing.assert_array_equal(hits.scores, np.float32([2, 1]))


def test_filters(index):
    assert ids(index, any_of={"genres": ("DRAMA",)}) == ("b", "a")
    assert ids(index, any_of={"genres": ("drama", "war")}) == ("b", "a", "c")
    assert ids(index, none_of={"genres": ("war",)}) == ("a",)
    assert ids(index, year_max=1995) == ("a",)
    assert ids(index, year_min=1900) == ("b", "a")
    assert ids(index, exclude=frozenset({"b", "nobody"})) == ("a", "c")
    assert ids(index, any_of={"genres": ("Noir",)}) == ()
    assert ids(index, any_of={"genres": ()}) == ()
    assert ids(index, none_of={"genres": ()}) == ("b", "a", "c")


def test_one_filter_for_each_query(index):
    queries = np.array([[1, 0], [1, 0]], dtype=np.float32)
    found = index.search(queries, n=1, filters=[Filters(exclude=frozenset({ItemId("b")})), Filters()])
    assert [h.ids for h in found] == [("a",), ("b",)]


def test_equal_scores_come_in_insertion_order_and_a_replaced_item_keeps_its_place(index):
    index.add([item("d"), item("a")], np.array([[2, 0], [2, 0]], dtype=np.float32))
    assert index.search(np.array([[1, 0]], dtype=np.float32), n=4)[0].ids == ("a", "b", "d", "c")
    assert index.ids() == ("a", "b", "c", "d")


def test_the_last_of_a_repeated_id_counts():
    index = ExactIndex(1)
    index.add([item("x"), item("y"), item("x")], np.float32([[1], [2], [3]]))
    assert index.ids() == ("x", "y")
    np.testing.assert_array_equal(index.vectors([ItemId("x")]), [[3]])


def test_nothing_to_find():
    index = ExactIndex(3)
    assert index.search(np.zeros((0, 3), np.float32), n=1) == []
    (hits,) = index.search(np.ones((1, 3), np.float32), n=5)
    assert hits.ids == ()
    assert hits.scores.shape == (0,)
    index.add([], np.zeros((0, 3), np.float32))
    index.remove([ItemId("ghost")])
    assert len(index) == 0


def test_removed_items_are_gone_and_may_come_back(index):
    index.remove([ItemId("b"), ItemId("b")])
    assert "b" not in index
    assert ids(index) == ("a", "c")
    index.add([item("b")], np.float32([[9, 9]]))
    assert ids(index) == ("b", "a", "c")
    assert ids(index, any_of={"genres": ("Drama",)}) == ("a",)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.search(np.ones((1, 2), np.float32), n=0), "n must be"),
        (lambda i: i.search(np.ones((1, 2), np.float32), n=True), "n must be"),
        (lambda i: i.search(np.ones((1, 2), np.float32), n=1.5), "n must be"),
        (lambda i: i.search(np.ones(2, np.float32), n=1), r"shape \(rows, 2\)"),
        (lambda i: i.search(np.ones((1, 3), np.float32), n=1), r"got \(1, 3\)"),
        (lambda i: i.search([[1.0], [1.0, 2.0]], n=1), "not a matrix"),
        (lambda i: i.search(np.float32([[1, np.nan]]), n=1), "query 0"),
        (lambda i: i.search(np.ones((1, 2)), n=1, filters=[]), "1 queries but 0 filters"),
        (lambda i: ids(i, any_of={"tone": ("x",)}), "attribute 'tone'; the attributes are: 'genres'"),
        (lambda i: ids(i, none_of={"tone": ("x",)}), "attribute 'tone'"),
        (lambda i: ids(i, any_of={"genres": "Drama"}), "string 'Drama'"),
        (lambda i: ids(i, year_min=2001, year_max=2000), "2001 is after year_max 2000"),
        (lambda i: i.add([item("ok"), item("bad")], np.float32([[1, 1], [np.inf, 1]])), "item 'bad'"),
        (lambda i: i.add([item("bad")], np.float32([[2e18, 1]])), "item 'bad'"),
        (lambda i: i.add([item("bad")], np.array([[1e300, 1]])), "item 'bad'"),
        (lambda i: i.add([item("bad")], np.float32([[1, 1, 1]])), "the first is item 'bad'"),
        (lambda i: i.add([item("bad")], np.float32([[1, 1], [1, 1]])), "1 items but 2 vectors"),
        (lambda i: i.add([item("bad", 10**30)], np.float32([[1, 1]])), "item 'bad' has the year"),
        (lambda i: i.add([item("ok"), item("bad", g="War")], np.float32([[1, 1]] * 2)), "'g' of item 'bad' is 'War'"),
        (lambda i: i.add([item("bad", g=("War", 7))], np.float32([[1, 1]])), "give a tuple of strings"),
        (lambda i: i.remove("abc"), "list of ids"),
        (lambda i: ExactIndex(0), "dimension"),
        (lambda i: ExactIndex(2, float_columns=2), "float_columns"),
        (lambda i: ExactIndex(2, engine="abacus"), "'abacus'"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(index, call, message):
    with pytest.raises(InputError, match=message):
        call(index)
    assert index.ids() == ("a", "b", "c")
    assert ids(index) == ("b", "a", "c")


def test_unknown_id_is_named(index):
    with pytest.raises(UnknownItem, match="'zz'"):
        index.vectors([ItemId("a"), ItemId("zz")])


def test_the_caller_may_reuse_the_arrays():
    vectors = np.ones((1, 4), np.float32)
    index = ExactIndex(4)
    index.add([item("a")], vectors)
    vectors[:] = 7
    index.vectors([ItemId("a")])[:] = 9
    np.testing.assert_array_equal(index.vectors([ItemId("a")]), np.ones((1, 4)))


def test_the_int8_bound_holds_and_is_tight():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2000, 64)).astype(np.float32) * 10.0 ** rng.integers(-30, 15, (2000, 1))
    coded = quantise(rows.astype(np.float32))
    kept = coded.codes.astype(np.float64) * coded.scale[:, None].astype(np.float64)
    off = np.linalg.norm(rows - kept, axis=1)
    length = np.linalg.norm(rows.astype(np.float64), axis=1)
    assert (off <= coded.residual).all()
    assert (coded.residual <= off * 1.01 + 1e-5 * length).all()
    assert (length <= coded.norm).all()
    assert (coded.norm <= length * 1.001).all()


@pytest.mark.parametrize("dimension", [8, 129, 400])
def test_the_bound_on_a_score_holds_against_the_worst_rows_and_queries(dimension):
    """Rows aligned with the rounding of the query, and queries aligned with the rounding of the row."""
    rng = np.random.default_rng(dimension)
    query, _ = unit_query(rng.standard_normal(dimension).astype(np.float32))
    off_query = query - rounded(query)
    row = rng.standard_normal(dimension).astype(np.float32)
    off_row, _ = unit_query(np.sign(row - rounded(row)).astype(np.float32))
    _, scan = load_engine("numkong")
    for q, x in ((query, np.sign(off_query)), (off_row, row), (query, off_query), (query, row * np.float32(1e15))):
        table = Table(dimension, 0, 8)
        table.write(0, x[None].astype(np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
        scores, error = int8_scores(table, 1, q, scan)
        exact = np.dot(q.astype(np.float64), x.astype(np.float64))
        assert abs(exact - scores[0]) <= error[0]


def rounded(vector):
    coded = quantise(vector[None])
    return coded.codes[0] * coded.scale[0]


@pytest.mark.parametrize("name", ORDER)
def test_each_engine_is_installed_here_and_right(name):
    loaded, scan = load_engine(name)
    assert loaded == name
    if scan is None:
        assert name == "numpy"
        return
    codes = np.random.default_rng(1).integers(-127, 128, (501, 77), dtype=np.int8)
    np.testing.assert_array_equal(scan(codes, codes[3]), codes.astype(np.int64) @ codes[3].astype(np.int64))


def test_searches_see_whole_versions_while_a_writer_works():
    """Each version's vectors share one length, so a mixture of versions would show in the scores."""
    index = ExactIndex(5)
    items = [item(str(k), genres=("even",) if k % 2 == 0 else ("odd",)) for k in range(12_000)]
    rows = np.random.default_rng(0).standard_normal((12_000, 5)).astype(np.float32)
    index.add(items, rows)
    done, wrong = threading.Event(), []

    def write():
        for version in range(2, 6):
            index.add(items, rows * np.float32(version))
            index.remove([items[-1].id])
        done.set()

    def read():
        base = {}
        out = frozenset(i.id for i in items[:100])
        while not done.is_set():
            for batch in (1, 6):
                found = index.search(rows[:batch], n=3, filters=Filters(any_of={"genres": ("even",)}, exclude=out))
                ratio = found[0].scores / base.setdefault("scores", found[0].scores)
                if len(found[0].ids) != 3 or np.ptp(ratio) > 1e-5 or out & set(found[0].ids):
                    wrong.append(found[0])

    threads = [threading.Thread(target=f) for f in (write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(index) == 11_999


@pytest.mark.parametrize(
    ("bonuses", "message"),
    [
        ([{ItemId("a"): -1.0}], "bonus of item 'a' is -1.0"),
        ([{ItemId("a"): float("nan")}], "bonus of item 'a' is nan"),
        ([], "1 queries but 0 mappings"),
    ],
)
def test_wrong_bonuses_are_refused(bonuses, message):
    index = ExactIndex(2)
    index.add([Item(ItemId("a"), "t")], np.ones((1, 2), np.float32))
    with pytest.raises(InputError, match=message):
        index.search(np.ones((1, 2), np.float32), n=1, bonuses=bonuses)
