"""The figures of a simulation, computed from its transcripts alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from rarec.errors import InputError
from rarec.evaluate.bootstrap import ClusterBootstrap
from rarec.evaluate.results import Band, Figure
from rarec.simulation.records import DialogueRecord, RunHeader
from rarec.simulation.targets import BANDS, generator_of
from rarec.types import Usage

Floats = NDArray[np.float64]
RECOMMENDER, POPULARITY, RANDOM = "recommender", "popularity", "random"
_LEVEL = 0.95
_SUCCESS = "success"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SimulatedSystem(_Frozen):
    """One row: the recommender, or an order that does not listen.

    Attributes:
        success: share of dialogues in which the target was shown by turn 1, 2, ...; shares from 0 to 1.
        length: average number of turns; a dialogue without success counts with the limit.
        bands: `success` at the last turn by popularity of the target.
    """

    system: str
    success: tuple[Figure, ...]
    length: Figure
    bands: tuple[Band, ...]


class Spent(_Frozen):
    """Calls and tokens of a language model over all dialogues; zeros where there is none."""

    calls: int
    prompt_tokens: int
    completion_tokens: int


class SimulationResult(_Frozen):
    """What a simulation shows.

    Attributes:
        systems: the recommender first, then popularity order and random order for the same targets and exclusions.
        over: recommender - floor, success at the last turn and number of turns, paired by dialogue.
        chance: what random order reaches by turn 1, 2, ... on average over all its orders, for these targets.
        failed: dialogues that the seeker's language model broke off; they count as not found.
        silent: dialogues whose target has nothing that the seeker could speak of.
        blanked: messages of seekers from which words were taken out, as they give the title away.
        degraded: share of answers in which the recommender's language model did not take part.
        samples, level: of the bootstrap by cluster of dialogues.
    """

    header: RunHeader
    dialogues: int
    clusters: int
    systems: tuple[SimulatedSystem, ...]
    over: Mapping[str, Mapping[str, Figure]]
    chance: tuple[float, ...]
    failed: int
    silent: int
    messages: int
    blanked: int
    degraded: float
    seeker: Spent
    recommender: Spent
    samples: int
    level: float = _LEVEL

    def system(self, name: str) -> SimulatedSystem:
        """The row of that name. Raises: InputError if there is none."""
        for system in self.systems:
            if system.system == name:
                return system
        raise InputError(f"no row {name!r}; there are {[s.system for s in self.systems]!r}")


def summarise(header: RunHeader, records: Sequence[DialogueRecord], *, samples: int = 2000) -> SimulationResult:
    """The figures of finished dialogues; needs no model and no store.

    Their order does not matter. A run that was stopped gives the figures of what it has, with its n.

    Raises:
        InputError: no dialogues, one that comes twice, or samples < 1.
    """
    _check(header, records)
    ordered = sorted(records, key=lambda record: record.id)
    clusters = [record.cluster for record in ordered]
    draws = ClusterBootstrap(clusters, generator=generator_of(header.seed, "bootstrap"), samples=samples)
    found = {name: np.array([turn(r, header) for r in ordered], np.float64) for name, turn in _TURNS.items()}
    played = [turn for record in ordered for turn in record.turns]
    return SimulationResult(
        header=header,
        dialogues=len(ordered),
        clusters=len(set(clusters)),
        systems=tuple(_system(name, turns, ordered, header, draws, samples) for name, turns in found.items()),
        over={floor: _difference(found[RECOMMENDER], found[floor], header, draws) for floor in (POPULARITY, RANDOM)},
        chance=tuple(
            float(np.mean([min(1.0, turn * header.n / (header.items - len(set(r.likes)))) for r in ordered]))
            for turn in range(1, header.turns + 1)
        ),
        failed=sum(record.outcome == "failed" for record in ordered),
        silent=sum(record.aspects == 0 and not record.likes for record in ordered),
        messages=len(played),
        blanked=sum(turn.blanked > 0 for turn in played),
        degraded=sum(turn.degraded for turn in played) / len(played) if played else 0.0,
        seeker=_spent(record.seeker_usage for record in ordered),
        recommender=_spent(Usage(t.calls, t.prompt_tokens, t.completion_tokens) for t in played),
        samples=samples,
    )


def _check(header: RunHeader, records: Sequence[DialogueRecord]) -> None:
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise InputError(f"the dialogue {record.id!r} comes twice; keep one")
        if len(record.turns) > header.turns:
            raise InputError(f"the dialogue {record.id!r} has {len(record.turns)} turns, more than {header.turns}")
        seen.add(record.id)
    if not records:
        raise InputError("no dialogue is finished yet; let the run go on")


def _recommended(record: DialogueRecord, _: RunHeader) -> float:
    return record.found_at or np.inf


def _by_popularity(record: DialogueRecord, header: RunHeader) -> float:
    return -(-record.popularity_rank // header.n)


def _by_chance(record: DialogueRecord, header: RunHeader) -> float:
    return -(-record.random_rank // header.n)


_TURNS: Mapping[str, Callable[[DialogueRecord, RunHeader], float]] = {
    RECOMMENDER: _recommended,
    POPULARITY: _by_popularity,
    RANDOM: _by_chance,
}
"""When each system shows the target: an order that shows n new items a turn reaches rank r at turn ceil(r / n)."""


def _system(
    name: str,
    found: Floats,
    records: Sequence[DialogueRecord],
    header: RunHeader,
    draws: ClusterBootstrap,
    samples: int,
) -> SimulatedSystem:
    by_turn = (found[:, None] <= np.arange(1, header.turns + 1)).astype(np.float64)
    return SimulatedSystem(
        system=name,
        success=_figures(by_turn, draws),
        length=_figures(np.minimum(found, header.turns)[:, None], draws)[0],
        bands=tuple(_band(band, by_turn[:, -1], records, header, samples) for band in BANDS),
    )


def _band(band: str, hits: Floats, records: Sequence[DialogueRecord], header: RunHeader, samples: int) -> Band:
    rows = [place for place, record in enumerate(records) if record.band == band]
    if not rows:
        return Band(band=band, n=0, figures={})
    clusters = [records[place].cluster for place in rows]
    draws = ClusterBootstrap(clusters, generator=generator_of(header.seed, "bootstrap", band), samples=samples)
    return Band(band=band, n=len(rows), figures={_SUCCESS: _figures(hits[rows][:, None], draws)[0]})


def _difference(a: Floats, b: Floats, header: RunHeader, draws: ClusterBootstrap) -> Mapping[str, Figure]:
    limit = header.turns
    columns = np.stack(
        [(a <= limit).astype(np.float64) - (b <= limit), np.minimum(a, limit) - np.minimum(b, limit)], axis=1
    )
    success, length = _figures(columns, draws)
    return {_SUCCESS: success, "length": length}


def _figures(columns: Floats, draws: ClusterBootstrap) -> tuple[Figure, ...]:
    low, high = draws.intervals(columns, level=_LEVEL)
    means = columns.mean(axis=0)
    return tuple(
        Figure(value=float(m), low=float(lo), high=float(hi)) for m, lo, hi in zip(means, low, high, strict=True)
    )


def _spent(usages: Iterable[Usage]) -> Spent:
    total = sum(usages, Usage())
    return Spent(calls=total.calls, prompt_tokens=total.prompt_tokens, completion_tokens=total.completion_tokens)
