"""The transcripts of a run: one JSON line a dialogue, synced to the disk when the dialogue ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rarec.errors import InputError, StoreError
from rarec.files import try_lock
from rarec.types import Usage

Outcome = Literal["accepted", "not found", "failed"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunHeader(_Frozen):
    """The first line of a file of transcripts: what the run is. A run goes on only with an equal one.

    Attributes:
        targets, catalogue: hashes of the targets in order, and of the catalogue's items.
        items, dialogues: how many there are.
        recommender, seeker: names for the table.
    """

    format: Literal[1] = 1
    seed: int
    turns: int = Field(ge=1)
    n: int = Field(ge=1)
    dialogues: int = Field(ge=1)
    items: int = Field(ge=1)
    targets: str
    catalogue: str
    recommender: str
    seeker: str
    drawn: str = ""


class TurnRecord(_Frozen):
    """One message of the seeker and the answer to it.

    Attributes:
        said: the message as the recommender got it.
        blanked: words that were taken out of it because they give the title away.
        shown: ids of the recommended items, best first.
        degraded: the recommender's language model did not take part.
        prompt_tokens, completion_tokens: of the recommender's language model.
    """

    said: str
    blanked: int
    shown: tuple[str, ...]
    reply: str
    degraded: bool
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class DialogueRecord(_Frozen):
    """One finished dialogue.

    Attributes:
        band: of the target's popularity.
        aspects: how many the seeker had to speak of.
        outcome: `failed` when the seeker's language model failed; `reason` says how.
        popularity_rank, random_rank: 1-based place of the target in the order of each floor.
        seeker_calls, seeker_prompt_tokens, seeker_completion_tokens: of the seeker's language model.
    """

    id: str
    cluster: str
    target: str
    band: str
    likes: tuple[str, ...]
    aspects: int
    outcome: Outcome
    reason: str = ""
    turns: tuple[TurnRecord, ...]
    popularity_rank: int = Field(ge=1)
    random_rank: int = Field(ge=1)
    seeker_calls: int = 0
    seeker_prompt_tokens: int = 0
    seeker_completion_tokens: int = 0

    @property
    def found_at(self) -> int | None:
        """The turn, from 1, at which the target was accepted; None if it was not."""
        return len(self.turns) if self.outcome == "accepted" else None

    @property
    def seeker_usage(self) -> Usage:
        return Usage(self.seeker_calls, self.seeker_prompt_tokens, self.seeker_completion_tokens)


class Transcripts:
    """A file of transcripts that grows; see `appending`."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self._path = descriptor, path

    def add(self, record: DialogueRecord | RunHeader) -> None:
        """Write one line and wait until it is on the disk.

        Raises:
            StoreError: it cannot be written, because the disk is full for example.
        """
        # ASCII: a lone surrogate in a catalogue must not stop a run.
        line = _ascii(record.model_dump(mode="python")) + "\n"
        try:
            _write_all(self._descriptor, line.encode("ascii"))
            os.fsync(self._descriptor)
        except OSError as error:
            raise StoreError(f"cannot write {str(self._path)!r}: {error.strerror}; free some space") from error


@contextmanager
def appending(path: Path, header: RunHeader) -> Iterator[tuple[Transcripts, dict[str, DialogueRecord]]]:
    """Open a run's transcripts for adding: the file, and the dialogues that are there already, by id.

    A missing file is begun. A last line that a kill left unfinished is cut off. Failed dialogues are not among those
    that are there: they are tried again, and the later line counts.

    Raises:
        InputError: the file is of a run with other settings, is damaged, or another run is writing it.
        StoreError: it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {error.strerror}; choose another folder") from error
    try:
        if not try_lock(descriptor):
            raise InputError(f"another run is writing {str(path)!r}; wait for it, or choose another folder")
        finished = _finished(path, header)
        transcripts = Transcripts(descriptor, path)
        if finished is None:
            transcripts.add(header)
        yield transcripts, finished or {}
    finally:
        os.close(descriptor)


def read_transcripts(path: str | Path) -> tuple[RunHeader, tuple[DialogueRecord, ...]]:
    """The header and the dialogues of a file, each once, in the order in which they ended.

    Raises:
        InputError: there is no such file, or a line is wrong; the line is named. An unfinished last line is ignored.
    """
    file = Path(path)
    lines = _whole_lines(file)
    if not lines:
        raise InputError(f"{str(file)!r} has no header; the run never began: run it again")
    header = _parsed(RunHeader, lines[0], file, 1)
    records: dict[str, DialogueRecord] = {}
    for number, line in enumerate(lines[1:], start=2):
        record = _parsed(DialogueRecord, line, file, number)
        records.pop(record.id, None)
        records[record.id] = record
    return header, tuple(records.values())


def _finished(path: Path, header: RunHeader) -> dict[str, DialogueRecord] | None:
    """The dialogues that need not be run again; None when the file has no header yet."""
    _cut_unfinished(path)
    if not path.stat().st_size:
        return None
    there, records = read_transcripts(path)
    differing = [name for name in RunHeader.model_fields if getattr(there, name) != getattr(header, name)]
    if differing:
        name = differing[0]
        raise InputError(
            f"{str(path)!r} is of another run: {name} is {getattr(there, name)!r} there and {getattr(header, name)!r} "
            "now; use the same settings to go on, or another folder"
        )
    return {record.id: record for record in records if record.outcome != "failed"}


def _whole_lines(path: Path) -> list[bytes]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}; give the folder of a run") from error
    return content.split(b"\n")[:-1]


def _cut_unfinished(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _parsed(model: type[Any], line: bytes, path: Path, number: int) -> Any:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise InputError(f"{str(path)!r}, line {number}: {where}: {first['msg']}; the file is damaged") from error


def _ascii(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
