"""A corpus into a live store: what changed is written, in one transaction that can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rarec.catalogue import CatalogueStore
from rarec.catalogue.revisions import Revision, RevisionOf, Revisions, StoreMoved
from rarec.corpus.comparing import Plan, Write, compare
from rarec.corpus.pending import Pending
from rarec.corpus.reading import CorpusFolder
from rarec.errors import InputError
from rarec.files import held_alone
from rarec.progress import OnProgress

MAX_RETIRED = 0.1
"""More than this share of the store's items of a corpus is not retired unless it is forced."""

MAX_LOST = 0.1
"""A source that has lost more than this share of its records is not taken unless it is forced."""

_ATTEMPTS = 3
_SCRATCH = ".corpus-update.sqlite"
_LOCK = ".corpus-update.lock"
Embed = Callable[[Iterable[str], int], None]
"""Texts, one at a time, and how many there are; whatever cannot be embedded raises."""


class UpdateRefused(InputError):
    """The update would do what is seldom meant; nothing was written. `plan` says what it would do."""

    def __init__(self, reasons: list[str], plan: Plan) -> None:
        super().__init__("\n".join([*reasons, "Nothing was written; if this is meant, say so with --force."]))
        self.plan = plan


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did, or would do: `revision` is None if it only looked, or if there was nothing to do."""

    plan: Plan
    revision: Revision | None
    cautions: tuple[str, ...] = ()


@contextmanager
def only_one(store: CatalogueStore) -> Iterator[None]:
    """Hold the updates of a store for oneself. Raises StoreError if another is running."""
    root = store.path.parent
    taken = f"another update of {str(root)!r} is running; wait until it has ended"
    with held_alone(root / _LOCK, taken=taken):
        yield


def update(
    store: CatalogueStore,
    corpus: CorpusFolder,
    *,
    write: Write,
    embed: Embed | None,
    tell: OnProgress,
    dry_run: bool = False,
    force: bool = False,
    max_retired: float = MAX_RETIRED,
) -> Updated:
    """Bring a store to a corpus.

    Items that the corpus names are added or changed; items of an earlier version of it (of the same name) that it does
    not name are retired; all others stay. A kill at any moment leaves the store as it was or as it is after.

    Args:
        write: item -> the text that is embedded, as the store's layout says.
        embed: called with the texts that are new before the store shows the items; None leaves it to the next turn.
        dry_run: only work out what would be done.
        force: also do what is seldom meant: see `UpdateRefused`.
        max_retired: largest share of the corpus's items in the store that may go without `force`, 0 to 1.
    Raises:
        UpdateRefused: too many items would go, a source was not read whole or has lost many of its records, or a dump
            is older than the one that the store has.
        InputError: the corpus is damaged, or `max_retired` is no share.
        StoreError: the store is locked, full or written all the time, or another update is running.
    """
    if not 0 <= max_retired <= 1:
        raise InputError(f"the largest share that may be retired must lie between 0 and 1, got {max_retired!r}")
    with only_one(store):
        for attempt in range(1, _ATTEMPTS + 1):
            with Pending(store.path.with_name(_SCRATCH)) as pending:
                plan = compare(store, corpus, pending, write=write, tell=tell)
                cautions = tuple(cautions_of(store.revisions, corpus, plan, max_retired=max_retired))
                if dry_run or (cautions and not force):
                    if not dry_run:
                        raise UpdateRefused(list(cautions), plan)
                    return Updated(plan, None, cautions)
                if _has_nothing_to_do(store.revisions, corpus, plan):
                    return Updated(plan, None)
                if embed is not None and plan.texts:
                    embed((write(item) for item in pending.items(embedded=True)), plan.texts)
                try:
                    tell("Write to the store", 0, 1, "")
                    revision = store.revisions.write(_revision_of(corpus, pending), expected=plan.version)
                except StoreMoved:  # something was imported meanwhile: what it wrote counts as well
                    if attempt == _ATTEMPTS:
                        raise
                    continue
                tell("Write to the store", 1, 1, "")
                return Updated(plan, revision, cautions)
    raise AssertionError("the last attempt returns or raises")


def cautions_of(revisions: Revisions, corpus: CorpusFolder, plan: Plan, *, max_retired: float) -> Iterator[str]:
    """What speaks against an update, a sentence each."""
    if plan.owned and plan.retired > max_retired * plan.owned:
        yield (
            f"{plan.retired:,} of the {plan.owned:,} items that the store has of the corpus {corpus.name!r} would go, "
            f"more than {max_retired:.0%}: is the corpus whole?"
        )
    yield from _sources_not_whole(revisions, corpus)
    had = dumps_of(revisions, corpus.name)
    for source, date in sorted(corpus.dumps.items()):
        if source in had and _is_older(date, had[source]):
            yield (
                f"the dump of {source!r} is of {date}, the store has that of {had[source]}: is this an older corpus? "
                "To go back to what the store had, use: rarec corpus rollback"
            )


def _sources_not_whole(revisions: Revisions, corpus: CorpusFolder) -> Iterator[str]:
    had = _noted(revisions, corpus.name, "records")
    for source, records in sorted(corpus.records.items()):
        extent = corpus.extents.get(source, "whole" if records else "not at all")
        if extent != "whole":
            yield (
                f"the source {source!r} was read {extent} when the corpus was built: problems.jsonl in it says why; "
                "correct its files or the recipe, and build it again"
            )
        elif records < (1 - MAX_LOST) * int(had.get(source, 0)):
            yield (
                f"the source {source!r} has {records:,} records, and had {int(had[source]):,} in the corpus that the "
                f"store has, more than {MAX_LOST:.0%} are gone: is its dump whole?"
            )


def dumps_of(revisions: Revisions, name: str) -> Mapping[str, str]:
    """Source -> date of the dump that the store has of a corpus; empty if it has none."""
    return {source: str(date) for source, date in _noted(revisions, name, "dumps").items()}


def _noted(revisions: Revisions, name: str, what: str) -> dict[str, Any]:
    """Source -> what the last update that stands noted of it; a source that a later corpus lacks is forgotten."""
    standing = [one for one in revisions.all() if one.owner == name and one.taken_back is None]
    last = standing[-1].note.get(what, {}) if standing else {}
    return {str(source): value for source, value in dict(last).items()}


def _is_older(date: str, other: str) -> bool:
    """ISO dates, perhaps with a time: compared as far as both say."""
    length = min(len(date), len(other))
    return date[:length] < other[:length]


def _has_nothing_to_do(revisions: Revisions, corpus: CorpusFolder, plan: Plan) -> bool:
    """Nothing changes, and every item of the corpus belongs to it already, with the same dumps."""
    same = not (plan.added or plan.changed or plan.retired) and plan.owned == plan.unchanged
    return same and (dict(corpus.dumps) == dict(dumps_of(revisions, corpus.name)))


def _revision_of(corpus: CorpusFolder, pending: Pending) -> RevisionOf:
    note = {
        "made": corpus.made, "rows": corpus.rows, "dumps": dict(corpus.dumps), "records": dict(corpus.records)
    }  # fmt: skip
    return RevisionOf(corpus.name, pending.items(), pending.same(), pending.retired(), note)
