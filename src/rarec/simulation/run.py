"""Running dialogues: one after the other or several at once, kept as they end, and summed up."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio

from rarec.errors import InputError, LLMUnavailable
from rarec.simulation.dialogue import Dialogue, Recommends
from rarec.simulation.records import DialogueRecord, RunHeader, Transcripts, appending
from rarec.simulation.result import SimulationResult, summarise
from rarec.simulation.seeker import Seekers, scripted_seekers
from rarec.simulation.targets import Target, World, generator_of

Progress = Callable[[int, int], None]
"""Receives how many dialogues have ended, and how many there are."""

GIVE_UP_AFTER = 5
"""So many dialogues in a row that the seeker's model broke off end the run: the rest would fail as well."""


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """How dialogues are run.

    Attributes:
        turns: most answers in a dialogue, >= 1.
        n: items in an answer, >= 1.
        seed: of seekers, the random order and the bootstrap.
        samples: draws of the bootstrap.
        concurrency: dialogues at once; more than 1 pays off only where answers wait for a remote model.
        recommender, seeker, drawn: names for the table.
    """

    turns: int = 5
    n: int = 5
    seed: int = 0
    samples: int = 2000
    concurrency: int = 1
    recommender: str = "recommender"
    seeker: str = "scripted"
    drawn: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where finished dialogues go: a file that a later run goes on with, a callback, both, or neither."""

    transcripts: Path | None = None
    progress: Progress | None = None


def simulate(
    recommender: Recommends,
    targets: Sequence[Target],
    *,
    world: World,
    seekers: Seekers = scripted_seekers,
    settings: SimulationSettings | None = None,
    kept: Kept | None = None,
) -> SimulationResult:
    """Run every target's dialogue and sum up, with popularity and random order beside the recommender.

    With a file of transcripts a run that was stopped at any moment goes on where it was; the result is that of a run
    that was never stopped, as long as the recommender and the seeker answer alike.

    Args:
        recommender: answers; give it the catalogue that `world` was made of.
        seekers: makes a seeker for each dialogue.
    Raises:
        InputError: targets that cannot be, numbers out of range, or transcripts of another run.
        LLMUnavailable: the seeker's language model failed `GIVE_UP_AFTER` dialogues in a row.
        RarecError: as the recommender does.
    """
    chosen = settings or SimulationSettings()
    return asyncio.run(asimulate(recommender, targets, world=world, seekers=seekers, settings=chosen, kept=kept))


async def asimulate(
    recommender: Recommends,
    targets: Sequence[Target],
    *,
    world: World,
    seekers: Seekers = scripted_seekers,
    settings: SimulationSettings | None = None,
    kept: Kept | None = None,
) -> SimulationResult:
    """The same as `simulate`, for an event loop."""
    chosen, kept = settings or SimulationSettings(), kept or Kept()
    _check(chosen)
    world.check(targets)
    header = _header(targets, world, chosen)
    with ExitStack() as stack:
        file, finished = None, dict[str, DialogueRecord]()
        if kept.transcripts is not None:
            file, finished = stack.enter_context(appending(kept.transcripts, header))
        run = _Run(recommender, world, seekers, chosen, _Ended(file, finished, len(targets), kept.progress))
        try:
            await run.all([target for target in targets if target.id not in finished])
        finally:
            await _close(getattr(recommender, "llm", None))
            await _close(seekers)
        return summarise(header, list(finished.values()), samples=chosen.samples)


class _Ended:
    """Keeps what has ended."""

    def __init__(
        self, file: Transcripts | None, finished: dict[str, DialogueRecord], total: int, progress: Progress | None
    ) -> None:
        self._file, self._finished, self._total, self._progress = file, finished, total, progress
        self._failed = 0
        self._tell()

    def add(self, record: DialogueRecord) -> None:
        if self._file is not None:
            self._file.add(record)
        self._finished[record.id] = record
        self._tell()
        self._failed = self._failed + 1 if record.outcome == "failed" else 0
        if self._failed >= GIVE_UP_AFTER:
            raise LLMUnavailable(
                f"the seeker's language model failed {self._failed} dialogues in a row, the last one with "
                f"{record.reason!r}; check the model, then run again"
            )

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(len(self._finished), self._total)


@dataclass(frozen=True, slots=True)
class _Run:
    recommender: Recommends
    world: World
    seekers: Seekers
    settings: SimulationSettings
    ended: _Ended

    async def all(self, targets: Iterable[Target]) -> None:
        """Raises what went wrong first, without the wrapping of a task group."""
        waiting = iter(targets)
        problems: list[Exception] = []

        async def work() -> None:
            try:
                for target in waiting:
                    self.ended.add(await self.one(target))
            except Exception as error:
                problems.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for _ in range(self.settings.concurrency):
                group.start_soon(work)
        if problems:
            raise problems[0]

    async def one(self, target: Target) -> DialogueRecord:
        seed, n = self.settings.seed, self.settings.n
        seeker = self.seekers(generator_of(seed, target.id, "seeker"))
        dialogue = Dialogue(target, self.world, recommender=self.recommender, seeker=seeker, n=n)
        return await dialogue.run(self.settings.turns, world=self.world, seed=seed)


def _check(settings: SimulationSettings) -> None:
    for name in ("turns", "n", "samples", "concurrency"):
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")


def _header(targets: Sequence[Target], world: World, settings: SimulationSettings) -> RunHeader:
    return RunHeader(
        seed=settings.seed,
        turns=settings.turns,
        n=settings.n,
        dialogues=len(targets),
        items=len(world.items),
        targets=_hash((t.id, t.item, t.likes, t.cluster) for t in targets),
        catalogue=_hash(world.items.values()),
        recommender=settings.recommender,
        seeker=settings.seeker,
        drawn=settings.drawn,
    )


def _hash(values: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(repr(value).encode("utf-8", "backslashreplace") + b"\n")
    return digest.hexdigest()[:16]


async def _close(model: object) -> None:
    """End the connections that a model opened in this event loop."""
    aclose = getattr(model, "aclose", None)
    if aclose is not None:
        await aclose()
