"""What systems answered, example by example: the raw material of every figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rarec.evaluate.protocols import Scope, Seen
from rarec.types import ItemId

RankKey = tuple[str, ItemId, Seen]
"""(example id, target, what was done with mentioned items)."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a language model did for one example.

    Attributes:
        latency_ms: wall time of the call.
        input_tokens, output_tokens: as the provider counts; None where it does not say.
        cost_usd: None where no price is known.
        named: entries that the model's answer had: titles it named, or numbers it gave.
        ungrounded: entries that are no item of the catalogue (or no number that was offered): hallucinations.
        repeated: entries that it gave again.
        repaired: the ranking is not exactly what the model wrote.
        degraded: the model did not answer; the list is the fallback's.
        answer: the model's text.
        failure: why there is no answer; known only while the run goes on, it is not kept in files.
    """

    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    named: int = 0
    ungrounded: int = 0
    repeated: int = 0
    repaired: bool = False
    degraded: bool = False
    answer: str = ""
    failure: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One system's list for one example, best first, none twice; mentioned items may be in it."""

    items: tuple[ItemId, ...]
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """All that one system answered over one catalogue.

    A system either gives lists, or only the ranks of the targets (recordings without lists, and bounds).

    Attributes:
        depth: how far down the answers can be trusted; a measure with k > depth cannot be told.
        lists: example id -> items, best first, mentioned items not removed; long enough that at least
            `depth` remain without them, unless the system has no more to say (then the rest are misses).
        ranks: known ranks of targets, 0 a miss; used where `lists` is empty.
        calls: example id -> what the language model did.
        seed: of the run where a system is random; runs of one system with several seeds are averaged.
        lower_bound: the ranks are the worst that the known facts allow, so figures are lower bounds.
        catalogue: over which catalogue the system ranked.
        note: one sentence for the reader of the table; may be empty.
    """

    system: str
    depth: int
    lists: Mapping[str, tuple[ItemId, ...]] = field(default_factory=dict[str, tuple[ItemId, ...]])
    ranks: Mapping[RankKey, int] = field(default_factory=dict[RankKey, int])
    calls: Mapping[str, Call] = field(default_factory=dict[str, Call])
    seed: int | None = None
    lower_bound: bool = False
    catalogue: Scope = "data-set"
    note: str = ""
