"""The exact index against brute force: any vectors, filters and history, every engine."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import rarec.index.filtering as filtering
from rarec.index import ExactIndex
from rarec.item_numbers import Bonuses, ItemNumbers
from rarec.types import Filters, Item, ItemId

ENGINES = ("numkong", "torch", "numpy")
GENRES = ("Drama", "drama", "Comedy", "Straße", "STRASSE", "War")


def brute_force(live, query, n, filters, bonuses=None):
    """Ids and scores by the definition: fp64 inner products rounded to fp32 and the bonus, ties by insertion order."""

    def score(item, vector):
        product = np.float32((vector.astype(np.float64) * query.astype(np.float64)).sum())
        return product + np.float32((bonuses or {}).get(item.id, 0.0))

    scored = [
        (-score(item, vector), place, item.id)
        for place, (item, vector) in enumerate(live.values())
        if passes(item, filters)
    ]
    best = sorted(scored)[:n]
    return tuple(id for _, _, id in best), np.array([-score for score, _, _ in best], dtype=np.float32)


def of_numbers(bonuses, numbers):
    """The same bonuses as arrays."""
    own = np.array(sorted((number, bonuses[id]) for id in bonuses if (number := numbers.number(id)) >= 0))
    own = own.reshape(-1, 2)
    return Bonuses(numbers, own[:, 0].astype(np.int64), own[:, 1])


@contextmanager
def scanned_beyond(few):
    """More allowed rows than so many go through the scan; 4,096 as a rule."""
    kept = filtering.FEW
    filtering.FEW = few
    try:
        yield
    finally:
        filtering.FEW = kept


def scan_is_exact(index, live, query, n, bonuses):
    """One query that goes through the scan, however few the items are, against brute force."""
    with scanned_beyond(20):
        hits = index.search(query[None], n=n, bonuses=[bonuses])[0]
    ids, scores = brute_force(live, query, n, Filters(), bonuses)
    assert hits.ids == ids
    np.testing.assert_array_equal(hits.scores, scores)


def passes(item, filters):
    def has(name, values):
        own = {v.casefold() for v in item.attributes.get(name, ())}
        return any(v.casefold() in own for v in values)

    if item.id in filters.exclude:
        return False
    if not all(has(name, values) for name, values in filters.any_of.items()):
        return False
    if any(has(name, values) for name, values in filters.none_of.items()):
        return False
    if not all(has(name, (value,)) for name, values in filters.all_of.items() for value in values):
        return False
    if filters.year_min is None and filters.year_max is None:
        return True
    low = -(10**6) if filters.year_min is None else filters.year_min
    high = 10**6 if filters.year_max is None else filters.year_max
    return item.year is not None and low <= item.year <= high


def make_items(rng, count, first=0):
    return [
        Item(
            ItemId(f"i{first + k}"),
            "t",
            year=None if rng.random() < 0.2 else int(rng.integers(1950, 1960)),
            attributes={"genres": tuple(rng.choice(GENRES, rng.integers(0, 3))), "tone": ("calm",) * (k % 2)},
        )
        for k in range(count)
    ]


def make_vectors(rng, count, dimension, shape):
    """Rows of the named shape: the easy ones, and those that break a careless bound."""
    rows = rng.standard_normal((count, dimension))
    if shape == "unit+bias":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        rows[:, -1] = rng.exponential(30, count)
    elif shape == "mixed norms":
        rows *= 10.0 ** rng.integers(-44, 16, (count, 1))
    elif shape == "duplicates":
        rows = rows[rng.integers(0, max(1, count // 20), count)]
    elif shape == "zeros":
        rows[rng.random(count) < 0.9] = 0
    elif shape == "outliers":
        rows[:, rng.integers(0, dimension)] *= 1e6
    elif shape == "near ties":
        rows = rows[:1] + 1e-6 * rng.standard_normal((count, dimension))
    elif shape == "tiny":
        rows *= 1e-44
    elif shape == "integers":
        rows = rng.integers(-2, 3, (count, dimension)).astype(float)
    return rows.astype(np.float32)


SHAPES = ("normal", "unit+bias", "mixed norms", "duplicates", "zeros", "outliers", "near ties", "tiny", "integers")


def filters_strategy():
    values = st.lists(st.sampled_from((*GENRES, "unseen")), max_size=3).map(tuple)
    years = st.one_of(st.none(), st.integers(1948, 1962))
    return st.builds(
        lambda any_of, none_of, all_of, a, b, out: Filters(
            any_of={"genres": any_of} if any_of is not None else {},
            none_of={"genres": none_of} if none_of is not None else {},
            all_of={"genres": all_of} if all_of is not None else {},
            year_min=a if a is None or b is None or a <= b else b,
            year_max=b if a is None or b is None or a <= b else a,
            exclude=frozenset(ItemId(f"i{k}") for k in out),
        ),
        st.one_of(st.none(), values),
        st.one_of(st.none(), values),
        st.one_of(st.none(), values),
        years,
        years,
        st.sets(st.integers(0, 400), max_size=30),
    )


@pytest.mark.parametrize("few", [4096, 20])
@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(SHAPES),
    query_shape=st.sampled_from(SHAPES),
    dimension=st.sampled_from([1, 2, 7, 33, 129]),
    n=st.sampled_from([1, 3, 10, 50, 1000]),
    filters=filters_strategy(),
)
def test_every_engine_and_batch_size_gives_brute_force(few, seed, shape, query_shape, dimension, n, filters):
    rng = np.random.default_rng(seed)
    items, vectors = make_items(rng, 300), make_vectors(rng, 300, dimension, shape)
    queries = make_vectors(rng, 5, dimension, query_shape)
    live = {item.id: (item, vector) for item, vector in zip(items, vectors, strict=True)}
    wanted = [brute_force(live, query, n, filters) for query in queries]
    with scanned_beyond(few):
        for engine in ENGINES:
            index = ExactIndex(dimension, engine=engine)
            index.add(items, vectors)
            batch = index.search(queries, n=n, filters=filters)
            single = [index.search(queries[i : i + 1], n=n, filters=filters)[0] for i in range(5)]
            for hits, alone, (ids, scores) in zip(batch, single, wanted, strict=True):
                assert hits.ids == alone.ids == ids
                np.testing.assert_array_equal(hits.scores, scores)
                np.testing.assert_array_equal(alone.scores, scores)


@pytest.mark.parametrize("few", [4096, 20])
@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(SHAPES),
    n=st.sampled_from([1, 3, 10, 50, 1000]),
    filters=filters_strategy(),
    favoured=st.lists(st.sets(st.integers(0, 320), max_size=60), min_size=5, max_size=5),
    scale=st.sampled_from([0.0, 0.1, 3.0, 1e4]),
    length=st.sampled_from([1.0, 1.0, 1e-35]),
    engine=st.sampled_from(ENGINES),
    numbered=st.booleans(),
)
def test_bonuses_are_added_before_the_best_are_taken(
    few, seed, shape, n, filters, favoured, scale, length, engine, numbered
):
    rng = np.random.default_rng(seed)
    items, vectors = make_items(rng, 300), make_vectors(rng, 300, 9, shape)
    queries = make_vectors(rng, 5, 9, shape) * np.float32(length)
    live = {item.id: (item, vector) for item, vector in zip(items, vectors, strict=True)}
    bonuses = [{ItemId(f"i{k}"): scale * float(rng.exponential()) for k in own} for own in favoured]
    with scanned_beyond(few):
        numbers = ItemNumbers()
        numbers.give([ItemId(f"i{k}") for k in range(320, 0, -3)])  # as of another table that met some before
        index = ExactIndex(9, engine=engine, numbers=numbers)
        index.add(items, vectors)
        gone = [item.id for item in items[::7]]
        index.remove(gone)
        live = {id: value for id, value in live.items() if id not in set(gone)}
        told = [of_numbers(own, numbers) for own in bonuses] if numbered else bonuses
        batch = index.search(queries, n=n, filters=filters, bonuses=told)
        for i, hits in enumerate(batch):
            ids, scores = brute_force(live, queries[i], n, filters, bonuses[i])
            alone = index.search(queries[i : i + 1], n=n, filters=filters, bonuses=told[i : i + 1])[0]
            assert hits.ids == alone.ids == ids
            np.testing.assert_array_equal(hits.scores, scores)
            np.testing.assert_array_equal(alone.scores, scores)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(SHAPES),
    n=st.sampled_from([1, 3, 10, 50]),
    length=st.sampled_from([1.0, 1e-35]),
    engine=st.sampled_from(ENGINES),
)
def test_an_item_that_draws_level_with_the_last_of_the_best_is_not_lost(seed, shape, n, length, engine):
    rng = np.random.default_rng(seed)
    items, vectors = make_items(rng, 300), make_vectors(rng, 300, 9, shape)
    live = {item.id: (item, vector) for item, vector in zip(items, vectors, strict=True)}
    index = ExactIndex(9, engine=engine)
    index.add(items, vectors)
    for query in make_vectors(rng, 5, 9, shape) * np.float32(length):
        score = dict(zip(*brute_force(live, query, len(live), Filters(), {}), strict=True))
        last = sorted(score.values())[-n]
        lacks = {item.id: max(0.0, float(last - score[item.id])) for item in items[::5]}
        bonuses = {id: min(value, 1e17) for id, value in lacks.items()}
        scan_is_exact(index, live, query, n, bonuses)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([1, 3, 10, 50]),
    bonus=st.sampled_from([1.0, 1e4, 1e17]),
    near=st.sampled_from([1e-8, 1e-7, 1e-6]),
    length=st.sampled_from([1.0, 3.0, 1e-10, 1e-37]),
    engine=st.sampled_from(ENGINES),
)
def test_bonuses_that_are_all_but_the_whole_score_are_told_apart(seed, n, bonus, near, length, engine):
    rng = np.random.default_rng(seed)
    items, vectors = make_items(rng, 300), make_vectors(rng, 300, 9, "normal")
    vectors *= np.float32(min(near * bonus / length, 1e16))  # products are about as large as a bonus is rounded by
    index = ExactIndex(9, engine=engine)
    index.add(items, vectors)
    live = {item.id: (item, vector) for item, vector in zip(items, vectors, strict=True)}
    bonuses = {item.id: bonus * (1 + 6e-8 * int(rng.integers(0, 4))) for item in items[::2]}
    for query in make_vectors(rng, 5, 9, "unit+bias") * np.float32(length):
        scan_is_exact(index, live, query, n, bonuses)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES), n=st.sampled_from([1, 20, 200]))
def test_recall_is_one_on_thousands_of_rows(seed, shape, n):
    rng = np.random.default_rng(seed)
    vectors = make_vectors(rng, 12_000, 65, shape)
    queries = make_vectors(rng, 4, 65, "normal")
    index = ExactIndex(65)
    index.add([Item(ItemId(str(k)), "t") for k in range(len(vectors))], vectors)
    for hits, query in zip(index.search(queries, n=n), queries, strict=True):
        scores = (vectors.astype(np.float64) * query.astype(np.float64)).sum(axis=1).astype(np.float32)
        best = np.argsort(-scores, kind="stable")[:n]
        assert hits.ids == tuple(str(k) for k in best)
        assert index.search(query[None], n=n)[0].ids == hits.ids


class History(RuleBasedStateMachine):
    """Adds, replacements and removals in any order; a dictionary is the model."""

    @initialize(seed=st.integers(0, 2**32 - 1), engine=st.sampled_from(ENGINES))
    def start(self, seed, engine):
        self.rng = np.random.default_rng(seed)
        self.live = {}
        self.index = ExactIndex(9, engine=engine)

    @rule(first=st.integers(0, 700), count=st.integers(0, 300), shape=st.sampled_from(SHAPES))
    def add(self, first, count, shape):
        items = make_items(self.rng, count, first)
        vectors = make_vectors(self.rng, count, 9, shape)
        self.index.add(items, vectors)
        for item, vector in zip(items, vectors, strict=True):
            self.live[item.id] = (item, vector)

    @rule(first=st.integers(0, 700), count=st.integers(0, 400))
    def remove(self, first, count):
        self.index.remove([ItemId(f"i{k}") for k in range(first, first + count)])
        for k in range(first, first + count):
            self.live.pop(f"i{k}", None)

    @rule(filters=filters_strategy(), n=st.sampled_from([1, 5, 100]), q=st.sampled_from([1, 5]))
    def search(self, filters, n, q):
        if not self.index._snapshot.postings:
            return
        queries = make_vectors(self.rng, q, 9, "normal")
        for hits, query in zip(self.index.search(queries, n=n, filters=filters), queries, strict=True):
            ids, scores = brute_force(self.live, query, n, filters)
            assert hits.ids == ids
            np.testing.assert_array_equal(hits.scores, scores)

    @invariant()
    def holds_what_was_added(self):
        if not hasattr(self, "index"):
            return
        assert self.index.ids() == tuple(self.live)
        assert len(self.index) == len(self.live)
        if self.live:
            np.testing.assert_array_equal(self.index.vectors(list(self.live)), [v for _, v in self.live.values()])


TestHistory = History.TestCase
TestHistory.settings = settings(deadline=None, max_examples=20, stateful_step_count=15)
