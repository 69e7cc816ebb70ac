"""Exact maximum inner product search in memory, under any filter, with items coming and going."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError, UnknownItem
from rarec.index.bonuses import checked_bonuses
from rarec.index.engines import EngineName, load_engine
from rarec.index.filtering import Allowed, allow, check_filters
from rarec.index.protocol import Hits
from rarec.index.quantise import MAX_NORM, Floats, norms
from rarec.index.select import (
    RowsAndBonuses,
    add_bonuses,
    contenders,
    exact_best,
    fp32_error,
    int8_scores,
    slack,
    unit_query,
)
from rarec.index.table import Snapshot, Table
from rarec.index.writing import Tags, grown_postings, latest_of_each, tags_of, years_of
from rarec.item_numbers import Bonuses, ItemNumbers, RowOfNumber
from rarec.types import Filters, Item, ItemId

ONE_BY_ONE = 3
"""Up to this many queries the int8 scan of each is faster than one fp32 product for all."""
BATCH_BYTES = 64 << 20
MIN_CAPACITY = 1024

RowsAndScores = tuple[NDArray[np.int64], Floats]
Found = Iterator[tuple[int, RowsAndScores]]
"""(number of the query, its best rows and their scores)."""


class _Search(NamedTuple):
    """Queries with what may come back and what is added, each of shape (queries,), and how many are wanted."""

    snapshot: Snapshot
    queries: Floats
    allowed: list[Allowed]
    favoured: list[RowsAndBonuses]
    n: int


class ExactIndex:
    """Maximum inner product search that never misses: recall is 1.0, whatever the vectors and filters.

    One query scans an int8 copy of the matrix; a proven bound on its error says which rows could be among the best,
    and these are scored in full. A batch of queries does the same with one fp32 matrix product. The answer is the same
    bit for bit in both ways and with every engine.

    Safe to use from several threads: a search sees the index as it was when it began. Item texts are not kept.

    Args:
        dimension: d, at least 1.
        engine: library of the int8 scan; None takes the first installed of numkong, torch, numpy (fp32 only).
        float_columns: how many last columns may be of another size than the rest (a bias or popularity term); they are
            kept in fp32 in the scan. This changes the speed, never the answer. At most d - 1; None is 1 if d > 1.
        numbers: of ids, shared with whoever makes the bonuses, so that none needs to be looked up by id; then the index
            forgets no number. None is its own.
    Raises:
        InputError: an argument is out of range.
        MissingExtra: the named engine is not installed.
    """

    def __init__(
        self,
        dimension: int,
        *,
        engine: EngineName | None = None,
        float_columns: int | None = None,
        numbers: ItemNumbers | None = None,
    ) -> None:
        if dimension < 1:
            raise InputError(f"dimension must be at least 1, got {dimension!r}")
        columns = min(1, dimension - 1) if float_columns is None else float_columns
        if not 0 <= columns < dimension:
            raise InputError(f"float_columns must be in 0..{dimension - 1}, got {columns!r}")
        self.engine, self._scan = load_engine(engine)
        self._numbers, self._forgets = ItemNumbers() if numbers is None else numbers, numbers is None
        self._rows, self._size = RowOfNumber(), 0
        self._next_order = 0
        self._snapshot = Snapshot(Table(dimension, columns, MIN_CAPACITY), 0, [], np.empty(0, np.int64), {})
        self._writing = threading.Lock()  # one writer at a time
        self._publishing = threading.Lock()  # held for moments: guards _rows, _size and _snapshot

    @property
    def dimension(self) -> int:
        return self._snapshot.table.dimension

    def __len__(self) -> int:
        return self._size

    def __contains__(self, id: object) -> bool:
        return self._rows[self._numbers.number(id)] >= 0

    def ids(self) -> tuple[ItemId, ...]:
        """All ids, in insertion order."""
        with self._publishing:
            snapshot, rows = self._snapshot, self._rows.all()
            rows = rows[rows >= 0]
        return tuple(snapshot.ids[row] for row in rows[np.argsort(snapshot.table.order[rows])].tolist())

    def vectors(self, ids: Sequence[ItemId]) -> NDArray[np.float32]:
        """A copy of the vectors as they were added, shape (len(ids), d).

        Raises:
            UnknownItem: an id is not in the index.
        """
        with self._publishing:
            snapshot, rows = self._snapshot, self._rows_of(ids)
        if (rows < 0).any():
            raise UnknownItem(f"the index has no item {ids[int(np.argmax(rows < 0))]!r}; add it first")
        found: NDArray[np.float32] = snapshot.table.vectors[rows]
        return found

    def add(self, items: Sequence[Item], vectors: NDArray[np.float32]) -> None:
        """Add or replace items, all or none; `vectors` has shape (len(items), d), any length below 1e18.

        A replaced item keeps its place in the insertion order. If an id comes twice, its last item counts.

        Raises:
            InputError: shapes differ, or a vector is not finite or too long (the message names the item).
        """
        matrix = self._checked(vectors, [item.id for item in items])
        kept = latest_of_each(items)
        if len(kept) < len(items):
            items, matrix = [items[i] for i in kept], matrix[kept]
        years, tags = years_of(items), tags_of(items)
        if items:
            with self._writing:
                self._add(items, matrix, years, tags)

    def remove(self, ids: Sequence[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        if isinstance(ids, str):
            raise InputError(f"remove takes a list of ids, got the string {ids!r}")
        with self._writing:
            with self._publishing:
                numbers = np.unique(self._numbers.find(ids))
                numbers = numbers[self._rows.get(numbers) >= 0]
                self._snapshot = _without(self._snapshot, self._rows.get(numbers))
                self._rows.put(numbers, -1)
                self._size -= len(numbers)
            if self._forgets:
                self._numbers.forget(ids)
            self._compact()

    def search(
        self,
        queries: NDArray[np.float32],
        *,
        n: int,
        filters: Filters | Sequence[Filters] | None = None,
        bonuses: Sequence[Mapping[ItemId, float]] | None = None,
    ) -> list[Hits]:
        """The n items with the largest score, for each row of `queries`, shape (q, d); no rows give [].

        Fewer than n come back only if fewer pass the filters (one for all queries, or one each). A filter on an empty
        tuple of values lets nothing pass. Equal scores come in insertion order.

        Args:
            bonuses: for each query what is added to the inner products of some items, at least 0; ids that the index
                does not have are ignored. `rarec.item_numbers.Bonuses` of the index's own numbers are the fastest.
        Raises:
            InputError: n < 1, a wrong shape, a value that is not finite, a negative bonus, a filter on an unknown
                attribute, or years the wrong way round.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"n must be a whole number of at least 1, got {n!r}")
        matrix = self._checked(queries, None)
        asked = _one_each(filters, len(matrix))
        snapshot, allowed, favoured = self._allow(asked, checked_bonuses(bonuses, len(matrix), self._numbers))
        best: list[RowsAndScores | None] = [None] * len(matrix)
        scans: list[int] = []
        for i, rows in enumerate(allowed):
            if rows.rows is not None or not matrix[i].any():
                best[i] = _directly(snapshot, rows, matrix[i], int(n), favoured[i])
            else:
                scans.append(i)
        in_batch = self._scan is None or len(scans) > ONE_BY_ONE
        search = _Search(snapshot, matrix, allowed, favoured, int(n))
        for i, found in (self._batch if in_batch else self._singly)(search, scans):
            best[i] = found
        return [_hits(snapshot, *found) for found in best if found is not None]

    def _allow(
        self, asked: Sequence[Filters], bonuses: Sequence[tuple[Mapping[ItemId, float], Floats]]
    ) -> tuple[Snapshot, list[Allowed], list[RowsAndBonuses]]:
        with self._publishing:
            # Rows are looked up here, in step with the snapshot: later an item may have moved to another one.
            snapshot = self._snapshot
            excluded = {id(f): self._rows_of(f.exclude) for f in asked}
            rows = [
                self._rows.get(own.numbers) if isinstance(own, Bonuses) else self._rows_of(own) for own, _ in bonuses
            ]
        done: dict[int, Allowed] = {}
        for f in asked:
            if id(f) not in done:
                check_filters(f, snapshot.postings)
                done[id(f)] = allow(snapshot, f, excluded[id(f)][excluded[id(f)] >= 0])
        favoured = []
        for own, (_, values) in zip(rows, bonuses, strict=True):
            order = np.argsort(own)[np.count_nonzero(own < 0) :]
            favoured.append((own[order], values[order]))
        return snapshot, [done[id(f)] for f in asked], favoured

    def _rows_of(self, ids: Collection[ItemId]) -> NDArray[np.int64]:
        return self._rows.get(self._numbers.find(ids))

    def _singly(self, search: _Search, which: list[int]) -> Found:
        snapshot, queries, allowed, favoured, n = search
        assert self._scan is not None
        for i in which:
            rows, bonuses = favoured[i]
            unit, length = unit_query(queries[i], float(bonuses.max(initial=0)))
            m = min(n, allowed[i].count)
            scores, error = int8_scores(snapshot.table, snapshot.count, unit, self._scan)
            add_bonuses(scores, error, rows, bonuses, length)
            found = contenders(scores, error, slack(self.dimension, length), allowed[i], m)
            yield i, exact_best(snapshot.table, found, queries[i], m, favoured[i])

    def _batch(self, search: _Search, which: list[int]) -> Found:
        snapshot, queries, allowed, favoured, n = search
        table, count = snapshot.table, snapshot.count
        error = fp32_error(table.norm[:count], table.dimension)
        size = max(1, BATCH_BYTES // (4 * max(count, 1)))
        buffer: Floats = np.empty((min(size, len(which)), count), dtype=np.float32)
        for a in range(0, len(which), size):
            part = which[a : a + size]
            units = [unit_query(queries[i], float(favoured[i][1].max(initial=0))) for i in part]
            # numpy, not torch: torch may be set to multiply in less than fp32, and the bound would not hold.
            scores = buffer[: len(units)]
            np.matmul(np.stack([unit for unit, _ in units]), table.vectors[:count].T, out=scores)
            for row, (i, (_, length)) in enumerate(zip(part, units, strict=True)):
                m, own = min(n, allowed[i].count), error.copy() if len(favoured[i][0]) else error
                add_bonuses(scores[row], own, *favoured[i], length)
                found = contenders(scores[row], own, slack(self.dimension, length), allowed[i], m)
                yield i, exact_best(table, found, queries[i], m, favoured[i])

    def _checked(self, vectors: NDArray[np.float32], ids: Sequence[ItemId] | None) -> Floats:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                matrix: Floats = np.ascontiguousarray(vectors, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"not a matrix of numbers: {error}; give an array of shape (rows, d)") from error
        what = "vectors" if ids is not None else "queries"
        if matrix.ndim != 2 or matrix.shape[1] != self.dimension:
            of = f"; the first is item {ids[0]!r}" if ids else ""
            raise InputError(f"{what} must have shape (rows, {self.dimension}), got {matrix.shape}{of}")
        if ids is not None and len(ids) != len(matrix):
            raise InputError(f"there are {len(ids)} items but {len(matrix)} vectors; give one vector an item")
        for a in range(0, len(matrix), 4096):
            block = matrix[a : a + 4096]
            good = np.isfinite(block).all(axis=1)
            with np.errstate(over="ignore", invalid="ignore"):
                good &= norms(block) < MAX_NORM
            if not good.all():
                row = a + int(np.argmin(good))
                name = f"the vector of item {ids[row]!r}" if ids is not None else f"query {row}"
                raise InputError(f"{name} holds NaN, infinity, or is longer than {MAX_NORM:g}; embed it again")
        return matrix

    def _add(self, items: Sequence[Item], matrix: Floats, years: NDArray[np.int64], tags: Mapping[str, Tags]) -> None:
        now = self._snapshot
        start, stop = now.count, now.count + len(items)
        table = now.table
        if stop > table.capacity:
            table = table.resized(slice(0, start), start, max(stop * 9 // 8, table.capacity * 3 // 2))
        ids = [item.id for item in items]
        numbers = self._numbers.give(ids)
        replaced = self._rows.get(numbers)
        fresh = self._next_order + np.arange(len(ids), dtype=np.int64)
        table.write(start, matrix, np.where(replaced >= 0, table.order[replaced], fresh), years)
        postings = grown_postings(now.postings, tags, start)
        with self._publishing:
            now.ids.extend(ids)
            self._rows.put(numbers, np.arange(start, stop))
            self._size += int(np.count_nonzero(replaced < 0))
            self._next_order += len(ids)
            self._snapshot = _without(Snapshot(table, stop, now.ids, now.removed, postings), replaced[replaced >= 0])
        self._compact()

    def _compact(self) -> None:
        """Drop removed rows for good once they are a quarter of all."""
        now = self._snapshot
        if len(now.removed) < max(MIN_CAPACITY // 4, now.count // 4):
            return
        kept = np.setdiff1d(np.arange(now.count), now.removed, assume_unique=True)
        table = now.table.resized(kept, len(kept), max(MIN_CAPACITY, len(kept) * 9 // 8))
        ids = [now.ids[row] for row in kept]
        new_row = np.full(now.count, -1, dtype=np.int32)
        new_row[kept] = np.arange(len(kept), dtype=np.int32)
        postings = {name: p.renumbered(new_row) for name, p in now.postings.items()}
        rows, numbers = RowOfNumber(), np.flatnonzero(self._rows.all() >= 0)
        rows.put(numbers, new_row[self._rows.get(numbers)])
        with self._publishing:
            self._rows = rows
            self._snapshot = Snapshot(table, len(kept), ids, now.removed[:0], postings)


def _one_each(filters: Filters | Sequence[Filters] | None, count: int) -> Sequence[Filters]:
    if filters is None or isinstance(filters, Filters):
        return [filters or Filters()] * count
    if len(filters) != count:
        raise InputError(f"there are {count} queries but {len(filters)} filters; give one for all, or one each")
    return filters


def _without(snapshot: Snapshot, rows: NDArray[np.int64]) -> Snapshot:
    if not len(rows):
        return snapshot
    removed = np.union1d(snapshot.removed, rows)
    return Snapshot(snapshot.table, snapshot.count, snapshot.ids, removed, snapshot.postings)


def _directly(snapshot: Snapshot, allowed: Allowed, query: Floats, n: int, favoured: RowsAndBonuses) -> RowsAndScores:
    rows = allowed.rows
    if rows is None:
        everything = np.zeros(snapshot.count, dtype=np.float32)
        allowed.silence(everything)
        rows = np.flatnonzero(everything == 0)
    return exact_best(snapshot.table, rows, query, n, favoured)


def _hits(snapshot: Snapshot, rows: NDArray[np.int64], scores: Floats) -> Hits:
    return Hits(tuple(snapshot.ids[row] for row in rows), scores)
