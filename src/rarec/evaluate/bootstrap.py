"""Intervals for averages over rows that come in dialogues: whole dialogues are drawn, not rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import NormalDist
from string import ascii_letters

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError

Floats = NDArray[np.float64]
Clusters = Sequence[str] | Sequence[int] | NDArray[np.int64]
_CELLS = 1 << 22
_LEAST_EXPONENT = -1000
"""Of the unit of sums: smaller ones cannot be divided by; what is lost is below any measure."""


class ClusterBootstrap:
    """Draws of clusters with replacement, made once and used for every column of values.

    Systems that share one instance share its draws, so differences between them are paired.
    """

    def __init__(self, clusters: Clusters, *, generator: np.random.Generator, samples: int = 2000) -> None:
        """Draw `samples` times as many clusters as there are; `clusters` names the cluster of each row.

        Raises:
            InputError: no rows, or samples < 1.
        """
        if len(clusters) == 0:
            raise InputError("no rows to resample; is the file empty, or is every target repeated?")
        if samples < 1:
            raise InputError(f"samples must be at least 1, got {samples!r}")
        names, codes = np.unique(np.asarray(clusters), return_inverse=True)
        self._codes = codes.reshape(-1)
        self._count = len(names)
        self._weights = _draws(self._count, samples, generator)
        self._drawn_rows = self._weights @ np.bincount(self._codes, minlength=self._count).astype(np.float64)

    def clusters(self, inside: NDArray[np.bool_] | None = None) -> int:
        """How many clusters there are, or have a row that is `inside`, shape (rows,)."""
        return self._count if inside is None else len(np.unique(self._codes[inside]))

    def means(self, values: Floats) -> Floats:
        """The average of each column in each draw: shape (rows, m) or (rows,) -> (samples, m) or (samples,).

        Raises:
            InputError: not one row of values for each row of clusters.
        """
        if len(values) != len(self._codes):
            raise InputError(f"{len(values)} values for {len(self._codes)} rows; give one a row")
        columns = values.reshape(len(values), -1)
        averages: Floats = self._drawn_sums(columns) / self._drawn_rows[:, None]
        return averages.reshape(averages.shape[0], *values.shape[1:])

    def band_means(self, values: Floats, inside: NDArray[np.bool_]) -> Floats:
        """As `means`, over the rows that are `inside` only, shape (rows,); NaN where a draw has none of them.

        Raises:
            InputError: not one row of values, or of `inside`, for each row of clusters.
        """
        if not len(values) == len(inside) == len(self._codes):
            raise InputError(
                f"{len(values)} values and {len(inside)} marks for {len(self._codes)} rows; give one a row"
            )
        columns = np.where(inside[:, None], values.reshape(len(values), -1), 0.0)
        drawn = self._weights @ np.bincount(self._codes, inside.astype(np.float64), self._count)
        averages: Floats = self._drawn_sums(columns) / np.where(drawn == 0, np.nan, drawn)[:, None]
        return averages.reshape(averages.shape[0], *values.shape[1:])

    def _drawn_sums(self, columns: Floats) -> Floats:
        """The sum of each column in each draw, shape (rows, m) -> (samples, m).

        Sums of clusters are rounded to multiples of a power of two, of which no sum of as many clusters has more than
        2 to the 52nd. So every sum is exact, and the same whatever the number of threads or columns.
        """
        sums = np.stack([np.bincount(self._codes, column, self._count) for column in columns.T], axis=1)
        _, exponents = np.frexp(np.abs(sums).max(axis=0) * self._count)
        unit = np.ldexp(1.0, np.maximum(exponents - 52, _LEAST_EXPONENT))
        drawn: Floats = self._weights @ (np.round(sums / unit) * unit)
        return drawn

    def intervals(self, values: Floats, *, level: float = 0.95) -> Floats:
        """Percentile interval of each column's average, shape (2, m) or (2,): low, then high.

        Raises:
            InputError: level is not between 0 and 1, or the values do not fit the clusters.
        """
        if not 0 < level < 1:
            raise InputError(f"level must be between 0 and 1, got {level!r}; 0.95 is usual")
        tails = [(1 - level) / 2, (1 + level) / 2]
        return np.asarray(np.quantile(self.means(values), tails, axis=0), np.float64)


def interval(
    values: Floats, clusters: Clusters, *, generator: np.random.Generator, samples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the average of `values`, shape (rows,), by cluster.

    With a single cluster both ends are the average itself.

    Raises:
        InputError: no rows, lengths differ, samples < 1, or level is not between 0 and 1.
    """
    draws = ClusterBootstrap(clusters, generator=generator, samples=samples)
    low, high = draws.intervals(np.asarray(values, np.float64), level=level)
    return float(low), float(high)


def paired_interval(
    a: Floats, b: Floats, clusters: Clusters, *, generator: np.random.Generator, samples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:  # fmt: skip
    """Interval of the average of ``a - b``, row by row: both see the same draws. Raises as `interval` does."""
    if len(a) != len(b):
        raise InputError(f"{len(a)} and {len(b)} values; paired rows must be the same rows")
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return interval(difference, clusters, generator=generator, samples=samples, level=level)


def percentiles(draws: Floats, *, level: float) -> Floats:
    """Low and high ends of the central `level` of draws along their first axis, shape (2, ...); NaN draws are left out.

    The NaN draws of a column must be the same in all columns; draws that are all NaN give NaN.
    """
    tails = [(1 - level) / 2, (1 + level) / 2]
    known = draws[~np.isnan(draws.reshape(len(draws), -1)[:, 0])] if np.isnan(draws).any() else draws
    if not len(known):
        return np.full((2, *draws.shape[1:]), np.nan)
    return np.asarray(np.quantile(known, tails, axis=0), np.float64)


def minimum_detectable(differences: Floats, *, level: float, power: float = 0.8) -> float:
    """The true difference that a two-sided test at `level` would find with probability `power`.

    Args:
        differences: bootstrap draws of an average difference; their standard deviation is its standard error.
    Source: the usual normal approximation, (z(1 - alpha / 2) + z(power)) standard errors.
    """
    normal = NormalDist()
    return float((normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) * np.std(differences))


def letters(names: Sequence[str], separated: Collection[tuple[str, str]]) -> dict[str, str]:
    """Compact letter display: two names share a letter exactly if they are not in `separated` (in either order).

    Letters follow the order of `names`: a to z, A to Z, then letters of other alphabets.
    Source: the compact letter display of Piepho 2004.

    >>> letters(["a", "b", "c"], {("a", "c")})
    {'a': 'a', 'b': 'ab', 'c': 'b'}
    """
    alike = {name: set(names) - {name} for name in names}
    for one, other in separated:
        if one in alike and other in alike:
            alike[one].discard(other)
            alike[other].discard(one)
    place = {name: at for at, name in enumerate(names)}
    groups = sorted(_largest_groups(alike), key=lambda group: sorted(place[name] for name in group))
    return {name: "".join(_letter(i) for i, group in enumerate(groups) if name in group) for name in names}


def _largest_groups(alike: Mapping[str, set[str]]) -> list[set[str]]:
    """The groups of names that are all alike and that no further name fits into.

    Inserting one separated pair after the other gives the same groups, but for forty names that takes hours.
    Source: Bron and Kerbosch 1973, with the pivot of Tomita, Tanaka and Takahashi 2006.
    """
    found: list[set[str]] = []

    def grow(group: set[str], fitting: set[str], done: set[str]) -> None:
        if not fitting and not done:
            found.append(group)
            return
        pivot = max(fitting | done, key=lambda name: len(alike[name] & fitting))
        for name in fitting - alike[pivot]:
            grow(group | {name}, fitting & alike[name], done & alike[name])
            fitting = fitting - {name}
            done = done | {name}

    grow(set(), set(alike), set())
    return found


def _letter(at: int) -> str:
    """One character each, so that "ab" always means two groups; CJK ideographs would only follow after 52."""
    return ascii_letters[at] if at < len(ascii_letters) else chr(ord("\u4e00") + at - len(ascii_letters))


def _draws(count: int, samples: int, generator: np.random.Generator) -> Floats:
    """How often each cluster is drawn, shape (samples, count); every row sums to count."""
    weights = np.empty((samples, count), np.float64)
    block = max(1, _CELLS // count)
    for start in range(0, samples, block):
        rows = min(block, samples - start)
        drawn = generator.integers(count, size=(rows, count)) + np.arange(rows)[:, None] * count
        weights[start : start + rows] = np.bincount(drawn.reshape(-1), minlength=rows * count).reshape(rows, count)
    return weights
