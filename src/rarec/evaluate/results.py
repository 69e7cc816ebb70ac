"""The figures of an evaluation, as they are printed, plotted, compared and written to metrics.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rarec.errors import InputError
from rarec.files import write_text

FORMAT = 1
_ROUNDING = 1e-12
"""Averages over rows and seeds may differ by so much although every row is the same."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Figure(_Frozen):
    """An average and its bootstrap interval by dialogue; None where it cannot be told: of one dialogue no interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Band(_Frozen):
    """The rows whose target (or context) falls into one band of a slice; `n` rows, no figures where n = 0."""

    band: str
    n: int
    figures: Mapping[str, Figure]


class Generation(_Frozen):
    """What the language model of a system did, over all its calls.

    Attributes:
        calls: examples for which it was asked.
        ungrounded: share of named entries that are no item of the catalogue, 0..1: hallucinations, and titles that
            exist elsewhere.
        repeated: share of named entries that it gave again.
        repaired, degraded: share of calls.
        latency_ms: median, and the 95th percentile.
        input_tokens, output_tokens, cost_usd: average per turn; None where unknown.
    """

    calls: int
    named_per_turn: float
    ungrounded: float
    repeated: float
    repaired: float
    degraded: float
    latency_ms_p50: float | None = None
    latency_ms_p95: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost_usd: float | None = None


class SystemResult(_Frozen):
    """One system under one protocol.

    Attributes:
        depth: a measure with k beyond it is None.
        seeds: how many runs are averaged; `seed_sd` is the standard deviation between them, by measure.
        group: letters; two systems that share one do not separate on the block's headline measure. A lower bound
            shares one with every system above it, because its true figure may be there.
        slices: slice name -> bands in order.
        beyond: coverage, popularity bias, diversity of the first ten; None where lists are not known.
        lower_bound: every figure is a lower bound.
    """

    system: str
    depth: int
    figures: Mapping[str, Figure]
    group: str = ""
    seeds: int = 1
    seed_sd: Mapping[str, float] = Field(default_factory=dict)
    lower_bound: bool = False
    note: str = ""
    slices: Mapping[str, tuple[Band, ...]] = Field(default_factory=dict)
    beyond: Mapping[str, float | None] = Field(default_factory=dict)
    generation: Generation | None = None
    recall_curve: tuple[float, ...] = Field(default_factory=tuple)
    """Recall at 1, 2, ... up to the depth that is known."""


class Pair(_Frozen):
    """The paired difference of two systems, row by row: a - b.

    Attributes:
        minimum_detectable: the true difference that this many rows would show (two-sided at the block's level)
            four times in five.
        low, high: of one dialogue -1 and 1, because nothing is known of others.
        separates: the interval excludes zero, by more than rounding.
        a_only, b_only: share of rows whose target only a, or only b, has among its first ten.
    """

    a: str
    b: str
    measure: str
    delta: float
    low: float
    high: float
    minimum_detectable: float
    a_only: float | None = None
    b_only: float | None = None

    @property
    def separates(self) -> bool:
        return self.low > _ROUNDING or self.high < -_ROUNDING


class Block(_Frozen):
    """One table: every system on one split under one protocol.

    Attributes:
        protocol, sentence: see `EvaluationProtocol`.
        rows, examples, dialogues: what the averages and the bootstrap are over.
        catalogue: how many items could be ranked.
        unmapped: ground truths that are no item and count in no row.
        headline: the measure of groups and pairs.
        systems: in the order asked for, which is not a ranking.
    """

    data_set: str
    split: str
    protocol: str
    sentence: str
    rows: int
    examples: int
    dialogues: int
    catalogue: int
    unmapped: int
    measures: tuple[str, ...]
    headline: str
    level: float
    samples: int
    seed: int
    systems: tuple[SystemResult, ...]
    pairs: tuple[Pair, ...] = ()

    def system(self, name: str) -> SystemResult:
        """Raises InputError if there is none of that name."""
        for system in self.systems:
            if system.system == name:
                return system
        raise InputError(f"no system {name!r} here; there are {[s.system for s in self.systems]!r}")

    def pair(self, a: str, b: str, measure: str | None = None) -> Pair:
        """The difference a - b, whichever way round it is kept; the headline measure if none is named.

        Raises:
            InputError: the two were not compared on this measure.
        """
        asked = measure or self.headline
        for pair in self.pairs:
            if pair.measure == asked and (pair.a, pair.b) == (a, b):
                return pair
            if pair.measure == asked and (pair.a, pair.b) == (b, a):
                return Pair(
                    a=a, b=b, measure=asked, delta=-pair.delta, low=-pair.high, high=-pair.low,
                    minimum_detectable=pair.minimum_detectable, a_only=pair.b_only, b_only=pair.a_only,
                )  # fmt: skip
        raise InputError(f"{a!r} and {b!r} were not compared on {asked!r}")


class Results(_Frozen):
    """Blocks, and what they were computed from (`meta`: date, versions, hashes of the inputs)."""

    format: Annotated[int, Field(ge=1, le=FORMAT)] = FORMAT
    blocks: tuple[Block, ...]
    meta: Mapping[str, Any] = Field(default_factory=dict)

    def block(self, data_set: str, protocol: str = "new-targets") -> Block:
        """Raises InputError if there is none."""
        for block in self.blocks:
            if (block.data_set, block.protocol) == (data_set, protocol):
                return block
        have = [(block.data_set, block.protocol) for block in self.blocks]
        raise InputError(f"no block {(data_set, protocol)!r}; there are {have!r}")

    def to_json(self) -> str:
        """Indented JSON, floats as Python writes them, so that reading gives the same numbers."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, path: str | Path) -> None:
        """Raises StoreError if the file cannot be written."""
        write_text(Path(path), self.to_json())

    @staticmethod
    def read(path: str | Path) -> Results:
        """Raises InputError if the file is missing or is no metrics.json of ours."""
        try:
            return Results.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"no file {str(path)!r}; is it the folder of a finished run?") from None
        except (ValidationError, ValueError, OSError) as error:
            raise InputError(f"{str(path)!r} is no metrics.json of this version: {error}") from None
