"""Calls of a language model -> the figures of its row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rarec.evaluate.predictions import Call
from rarec.evaluate.results import Generation


def generation(calls: Sequence[Call]) -> Generation | None:
    """Rates over all calls; None without calls.

    Shares of entries are over all entries that were named, so a long answer weighs more than a short one. Tokens,
    cost and latency are averages over the calls that know them, None if none does.
    """
    if not calls:
        return None
    named = sum(call.named for call in calls)
    latencies = [call.latency_ms for call in calls if call.latency_ms is not None]
    p50, p95 = np.quantile(latencies, [0.5, 0.95]).tolist() if latencies else (None, None)
    return Generation(
        calls=len(calls),
        named_per_turn=named / len(calls),
        ungrounded=_share(sum(call.ungrounded for call in calls), named),
        repeated=_share(sum(call.repeated for call in calls), named),
        repaired=_share(sum(call.repaired for call in calls), len(calls)),
        degraded=_share(sum(call.degraded for call in calls), len(calls)),
        latency_ms_p50=p50,
        latency_ms_p95=p95,
        input_tokens=_mean([call.input_tokens for call in calls]),
        output_tokens=_mean([call.output_tokens for call in calls]),
        cost_usd=_mean([call.cost_usd for call in calls]),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
