"""The first stage of resolving: records with the same id are the same, unless their other ids say that they are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.clusters import Clusters, Reason
from rarec.corpus.judging import Rules
from rarec.corpus.shared_ids import Agreement, SharedId

_Columns = list[NDArray[np.uint64]]


def join_by_ids(clusters: Clusters, rules: Rules, shared: Sequence[SharedId] = ()) -> None:
    """Join groups that share an id, namespace by namespace, the most trusted first.

    Where groups that share an id differ in another namespace the id is said of several things. It then joins only
    those that say the same in every namespace in which the others differ (to say nothing counts as a value too);
    between them the refusals are logged. An id whose records themselves tell that it is of several things joins those
    that agree, see `Agreement`. Within a namespace no group has two ids, so that the order in which ids are
    looked at does not matter; all records of an id are seen at once, so neither does that of records.

    Args:
        shared: ids that were taken for none; that they joined nothing is logged.
    """
    places = {name: place for place, name in enumerate(clusters.namespaces)}
    for one in shared:
        clusters.shared.append((int(one.records[0]), places[one.namespace], len(one.records)))
        clusters.refused.extend(one.records[:-1], one.records[1:], Reason.AMBIGUOUS_ID, places[one.namespace])
    agreement = Agreement(clusters.traits, rules)
    for place, name in enumerate(clusters.namespaces):
        _join_by(clusters, agreement, place, name)


def _join_by(clusters: Clusters, agreement: Agreement, place: int, name: str) -> None:
    labels, values = clusters.labels, clusters.traits.ids[name]
    bearers = np.flatnonzero(values).astype(np.int32)
    if not len(bearers):
        return
    bearers = bearers[np.lexsort((bearers, values[bearers]))]
    agreed = agreement.parts(bearers, values[bearers], labels[bearers])
    doubted = np.flatnonzero(agreed)
    _log_refusals(clusters, bearers[doubted], values[bearers[doubted]], agreed[doubted], place)
    # One record a group and id: the first that says the id stands for its group in the log.
    order = np.lexsort((bearers, labels[bearers], agreed, values[bearers]))
    bearers, agreed = bearers[order], agreed[order]
    value, label = values[bearers], labels[bearers]
    new = np.ones(len(bearers), np.bool_)
    new[1:] = (value[1:] != value[:-1]) | (agreed[1:] != agreed[:-1])
    first = new.copy()
    first[1:] |= label[1:] != label[:-1]
    bearers, value, label, agreed = bearers[first], value[first], label[first], agreed[first]
    starts = np.flatnonzero(new[first])
    sizes = np.diff(np.r_[starts, len(value)])
    others = [column[label] for other, column in clusters.ids.items() if other != name]
    differ = np.zeros(len(starts), np.bool_)
    for column in others:
        differ |= _differs(column, starts)
    several = sizes > 1
    # `group` numbers what is joined: all of an id, or a part of it where its groups differ.
    group = np.repeat(np.arange(len(starts)), sizes)
    for at in np.flatnonzero(several & differ).tolist():
        low, high = int(starts[at]), int(starts[at] + sizes[at])
        parts = _parts(others, low, high)
        _log_refusals(clusters, bearers[low:high], value[low:high], parts, place)
        group[low:high] = len(starts) + low + parts
    order = np.lexsort((label, group))
    _join_groups(clusters, group[order], label[order], bearers[order], agreed[order] > 0, place)


def _differs(column: NDArray[np.uint64], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each run of the column whether it holds two values, 0 aside."""
    most = np.maximum.reduceat(column, starts)
    least = np.minimum.reduceat(np.where(column == 0, np.iinfo(np.uint64).max, column), starts)
    return np.asarray((most != 0) & (least != most))


def _parts(others: _Columns, low: int, high: int) -> NDArray[np.int64]:
    """Numbers of the parts of a run: equal where all the namespaces agree in which the run has several values."""
    differing = [part for column in others if len(np.unique((part := column[low:high])[part != 0])) > 1]
    _, parts = np.unique(np.stack(differing, axis=1), axis=0, return_inverse=True)
    return np.asarray(parts, np.int64).reshape(-1)


def _log_refusals(
    clusters: Clusters,
    bearers: NDArray[np.int32],
    value: NDArray[np.uint64],
    parts: NDArray[np.int64],
    place: int,
) -> None:
    """One a part of an id: its first record against the first of the part before it, in the order of first records."""
    order = np.lexsort((bearers, parts, value))
    bearers, value, parts = bearers[order], value[order], parts[order]
    first = np.ones(len(bearers), np.bool_)
    first[1:] = (value[1:] != value[:-1]) | (parts[1:] != parts[:-1])
    bearers, value = bearers[first], value[first]
    order = np.lexsort((bearers, value))
    bearers, value = bearers[order], value[order]
    same = value[1:] == value[:-1]
    clusters.refused.extend(bearers[:-1][same], bearers[1:][same], Reason.AMBIGUOUS_ID, place)


def _join_groups(
    clusters: Clusters,
    group: NDArray[np.int64],
    label: NDArray[np.int32],
    bearers: NDArray[np.int32],
    doubted: NDArray[np.bool_],
    place: int,
) -> None:
    """Join what has one number of a group; all arrays are sorted by it, then by label.

    Args:
        doubted: whether the id alone would not do: title or people agree as well.
    """
    begins = np.r_[True, group[1:] != group[:-1]]
    head = np.maximum.accumulate(np.where(begins, np.arange(len(group)), 0))
    rest = np.flatnonzero(~begins)
    if not len(rest):
        return
    for reason, told in ((Reason.SAME_ID, rest[~doubted[rest]]), (Reason.ID_AND_TITLE, rest[doubted[rest]])):
        clusters.joined.extend(bearers[head[told]], bearers[told], reason, place)
    clusters.merge(label[head[rest]], label[rest])
