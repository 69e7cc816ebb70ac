"""Everything that happened in the rollouts of a run, in a file of JSON lines that only grows."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rarec.align.parts import Parts, of_another_run
from rarec.align.rollout import Key, Rollout
from rarec.errors import StoreError
from rarec.files import LineFile
from rarec.llm.budget import Spend
from rarec.types import ItemId, Message, ParseReport, Usage

log = logging.getLogger(__name__)

VERSION = 1
_PROMPT_START = b'{"kind": "prompt"'
_LINES_TOLD = 5


@dataclass(frozen=True, slots=True)
class LedgerHeader:
    """The first record of a ledger.

    Attributes:
        recipe: a hash of everything that decides what the rollouts of the run are.
        parts: the same to read; those of earlier versions of rarec have none.
    """

    recipe: str
    version: int = VERSION
    parts: Parts = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Prompt:
    """Messages that a model read; `key` is their sha256. A ledger has each prompt once."""

    key: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Degraded rollouts of an iteration that ended all the same: they are not asked again."""

    iteration: int
    rollouts: tuple[tuple[str, int], ...]


Record = LedgerHeader | Prompt | Rollout | Accepted


def read_ledger(path: str | Path) -> Iterator[Record]:
    """The records of a ledger in the order in which they were written, one at a time.

    A line that a kill cut off is passed over, as are others that cannot be read, with a warning in the log. A later
    rollout of the same key replaces an earlier one.

    Raises:
        StoreError: there is no such file, it is no ledger, or one of a later version of rarec.
    """
    lines = LineFile(Path(path), what="the ledger")
    if not Path(path).exists():
        raise StoreError(f"there is no ledger {str(path)!r}; check the path")
    for _, record in _records(lines, []):
        yield record


class Ledger:
    """The ledger of one run, to write and to look up. One process at a time writes to it.

    Args:
        path: made if it does not exist, its folder too.
        recipe: a hash of everything that decides what the rollouts of the run are.
        parts: the same to read, for the refusal of a ledger of another run.
    Raises:
        StoreError: it is of another run, of a later version, no ledger at all, or cannot be read or written.
    """

    def __init__(self, path: str | Path, *, recipe: str, parts: Parts | None = None) -> None:
        self.path = Path(path)
        self._lines = LineFile(self.path, what="the ledger")
        self._lock = threading.Lock()
        self._places: dict[Key, int] = {}
        self._failed: set[Key] = set()
        self._prompts: set[str] = set()
        self.spent = Spend()
        """Of all rollouts in it."""
        self.bounded_tokens = 0
        """Of these, tokens of calls that did not say how many they took: the most that they may have."""
        self.broken: list[int] = []
        """Numbers of the lines, from 1, that cannot be read and may have held a rollout."""
        self._unclaimed = Spend()
        empty = True
        for place, record in _records(self._lines, self.broken):
            if isinstance(record, LedgerHeader) and record.recipe != recipe:
                raise StoreError(of_another_run(f"the ledger {str(self.path)!r}", parts or {}, record.parts))
            empty = False
            self._note(place, record)
        self._unclaimed = self.spent
        if empty:
            self._lines.add(_line(LedgerHeader(recipe, parts=parts or {})))

    def __len__(self) -> int:
        """How many rollouts it has; those that must be asked again do not count."""
        return len(self.answered)

    @property
    def answered(self) -> frozenset[Key]:
        """Keys of the rollouts that need not be asked again."""
        return frozenset(self._places.keys() - self._failed)

    def find(self, key: Key) -> Rollout | None:
        """The rollout of a key; None if there is none, or if it is degraded and was not accepted.

        Raises:
            StoreError: the file cannot be read, or was changed.
        """
        with self._lock:
            place = None if key in self._failed else self._places.get(key)
        if place is None:
            return None
        line = next((line for _, line in self._lines.read(place)), b"")
        record = _parsed(line)
        if not isinstance(record, Rollout) or record.key != key:
            raise StoreError(f"the ledger {str(self.path)!r} was changed while it was open; open it again")
        return record

    def has_prompt(self, key: str) -> bool:
        """Whether the messages of that sha256 are in it."""
        return key in self._prompts

    def add(self, rollouts: Sequence[Rollout], prompts: Iterable[Prompt] = ()) -> None:
        """Write prompts that are new, then rollouts, as one batch that is on the disk when this returns.

        Raises:
            StoreError: the disk is full or the file cannot be written.
        """
        with self._lock:
            fresh = {prompt.key: prompt for prompt in prompts if prompt.key not in self._prompts}
            self._write([*fresh.values(), *rollouts])

    def accept(self, iteration: int, rollouts: Iterable[tuple[str, int]]) -> None:
        """Settle that degraded rollouts (turn, group) of an iteration stay as they are; none writes nothing.

        Raises:
            StoreError: as `add`.
        """
        with self._lock:
            named = tuple(key for key in rollouts if (iteration, *key) in self._failed)
            if named:
                self._write([Accepted(iteration, named)])

    def claim(self) -> Spend:
        """What earlier processes spent, so that a resumed run can book it; nothing the second time."""
        with self._lock:
            claimed, self._unclaimed = self._unclaimed, Spend()
            return claimed

    def _write(self, records: Sequence[Record]) -> None:
        if not records:
            return
        lines = [_line(record) for record in records]
        place = self._lines.add(*lines)
        for line, record in zip(lines, records, strict=True):
            self._note(place, record)
            place += len(line) + 1

    def _note(self, place: int, record: Record) -> None:
        if isinstance(record, Prompt):
            self._prompts.add(record.key)
        elif isinstance(record, Accepted):
            self._failed -= {(record.iteration, turn, group) for turn, group in record.rollouts}
        elif isinstance(record, Rollout):
            self._places[record.key] = place
            (self._failed.add if record.degraded else self._failed.discard)(record.key)
            self.spent += record.spend
            self.bounded_tokens += 0 if record.usage.prompt_tokens > 0 else record.spend.tokens


def _records(lines: LineFile, broken: list[int]) -> Iterator[tuple[int, Record]]:
    """Byte offset and record of every line that can be read; numbers of others that matter are added to `broken`."""
    damaged = 0
    known = False
    for number, (place, line) in enumerate(lines.read(), 1):
        if not line.strip():
            continue
        record = _parsed(line)
        if not known and record is not None:
            _check_first(record, lines.path)
            known = True
        if record is None:
            damaged += 1
            if not line.startswith(_PROMPT_START):  # prompts are for people to read; nothing is asked for their sake
                broken.append(number)
        else:
            yield place, record
    if damaged and not known and not _only_a_start(lines):
        raise StoreError(f"{str(lines.path)!r} is no ledger of rollouts; give the path of one, or of a new file")
    if broken:
        log.warning(
            "%s of %s cannot be read; what is missing there is asked, and paid for, again, but not in a replay",
            named_lines(broken), lines.path,
        )  # fmt: skip


def named_lines(numbers: Sequence[int]) -> str:
    """For messages.

    >>> named_lines([7]), named_lines([1, 2, 3, 4, 5, 6, 7])
    ('line 7', 'lines 1, 2, 3, 4, 5 and 2 more')
    """
    shown = ", ".join(map(str, numbers[:_LINES_TOLD]))
    more = f" and {len(numbers) - _LINES_TOLD} more" if len(numbers) > _LINES_TOLD else ""
    return f"line{'s' * (len(numbers) != 1)} {shown}{more}"


def _only_a_start(lines: LineFile) -> bool:
    """Whether a kill can have left it: the first bytes of a header and no more."""
    start = _line(LedgerHeader(""))[: len('{"kind": "header", "version": ')]
    return all(start.startswith(line[: len(start)]) for _, line in lines.read())


def _check_first(record: Record, path: Path) -> None:
    if not isinstance(record, LedgerHeader):
        raise StoreError(f"{str(path)!r} is no ledger of rollouts: it begins with no header; restore its first line")
    if record.version > VERSION:
        raise StoreError(
            f"the ledger {str(path)!r} has version {record.version}, and this rarec reads up to {VERSION}; "
            "install a later rarec"
        )


def _line(record: Record) -> bytes:
    return json.dumps(_to_json(record), ensure_ascii=True, allow_nan=False).encode("ascii")


def _to_json(record: Record) -> dict[str, Any]:
    if isinstance(record, LedgerHeader):
        return {"kind": "header", "version": record.version, "recipe": record.recipe, "parts": dict(record.parts)}
    if isinstance(record, Prompt):
        messages = [[message.role, message.content] for message in record.messages]
        return {"kind": "prompt", "key": record.key, "messages": messages}
    if isinstance(record, Accepted):
        return {"kind": "accepted", "iteration": record.iteration, "rollouts": [list(key) for key in record.rollouts]}
    report, usage, spend = record.report, record.usage, record.spend
    return {
        "kind": "rollout",
        "iteration": record.iteration,
        "turn": record.turn,
        "group": record.group,
        "truth": record.truth,
        "items": record.items,
        "shown": record.shown,
        # Python writes the shortest text that reads back as the same float64.
        "log_prob": record.log_prob,
        "temperature": record.temperature,
        "proposal": record.proposal,
        "prompt": record.prompt,
        "model": record.model,
        "answer": record.answer,
        "named": record.named,
        "report": None if report is None else [report.missing, report.repeated, report.unknown, report.malformed],
        "ranking": record.ranking,
        "reward": record.reward,
        "parts": dict(record.parts),
        "usage": [usage.calls, usage.prompt_tokens, usage.completion_tokens],
        "latency_ms": record.latency_ms,
        "spend": [spend.calls, spend.tokens, spend.picodollars],
        "cached": record.cached,
        "degraded": record.degraded,
        "reason": record.reason,
    }


def _parsed(line: bytes) -> Record | None:
    """None if it is no record of ours."""
    try:
        return _from_json(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _from_json(record: Any) -> Record:
    kind = record["kind"]
    if kind == "rollout":
        return _rollout(record)
    if kind == "prompt":
        return Prompt(str(record["key"]), tuple(Message(role, content) for role, content in record["messages"]))
    if kind == "accepted":
        return Accepted(int(record["iteration"]), tuple((str(turn), int(group)) for turn, group in record["rollouts"]))
    if kind == "header":
        parts = record.get("parts")
        return LedgerHeader(str(record["recipe"]), int(record["version"]), parts if isinstance(parts, dict) else {})
    raise ValueError(f"unknown kind of record {kind!r}")


def _rollout(record: Any) -> Rollout:
    report, latency_ms, reward = record["report"], record["latency_ms"], record["reward"]
    return Rollout(
        iteration=int(record["iteration"]),
        turn=str(record["turn"]),
        group=int(record["group"]),
        truth=_ids(record["truth"]),
        items=_ids(record["items"]),
        shown=_ids(record["shown"]),
        log_prob=float(record["log_prob"]),
        temperature=float(record["temperature"]),
        proposal=int(record["proposal"]),
        prompt=str(record["prompt"]),
        model=str(record["model"]),
        answer=str(record["answer"]),
        named=int(record["named"]),
        report=None if report is None else _report(report),
        ranking=_ids(record["ranking"]),
        reward=None if reward is None else float(reward),
        parts={str(name): float(value) for name, value in record["parts"].items()},
        usage=Usage(*map(int, record["usage"])),
        latency_ms=None if latency_ms is None else float(latency_ms),
        spend=Spend(*map(int, record["spend"])),
        cached=bool(record["cached"]),
        degraded=bool(record["degraded"]),
        reason=str(record["reason"]),
    )


def _report(values: Any) -> ParseReport:
    missing, repeated, unknown, malformed = values
    return ParseReport(int(missing), int(repeated), int(unknown), bool(malformed))


def _ids(values: Any) -> tuple[ItemId, ...]:
    return tuple(ItemId(sys.intern(str(value))) for value in values)  # they repeat a thousand times
