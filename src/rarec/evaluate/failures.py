"""When a language model does not answer: a dead one stops the run, a few lost calls are told to the reader."""

from __future__ import annotations

from collections.abc import Sequence

from rarec.errors import LLMUnavailable
from rarec.evaluate.predict import GENERATING_CHUNK
from rarec.evaluate.predictions import Call, Predictions
from rarec.evaluate.system_configs import LLMAloneSystem, LLMConfig, RankedSystem, SystemConfig


def remote(config: SystemConfig) -> LLMConfig | None:
    """The model behind an endpoint that a system asks; None if it asks none."""
    if isinstance(config, (RankedSystem, LLMAloneSystem)) and isinstance(config.llm, LLMConfig):
        return config.llm
    return None


def stop_if_dead(config: SystemConfig, calls: Sequence[Call], *, first: bool) -> None:
    """Refuse to go on where a portion got no answer at all: its figures would be those of the fallback.

    Args:
        calls: those of one portion.
        first: it is the first that is asked in this run; of later ones only whole portions count.
    Raises:
        LLMUnavailable: every call failed; it names the row, the model and the first reason.
    """
    llm = remote(config)
    if llm is None or not calls or not all(map(_failed, calls)) or not (first or len(calls) >= GENERATING_CHUNK):
        return
    what = "the first call" if len(calls) == 1 else f"all {len(calls)} calls in a row"
    raise LLMUnavailable(
        f"{config.row!r}: {llm.model!r} answered nothing, {what} failed. The first reason: {calls[0].failure}. Check "
        f"the server and the key ({llm.api_key_env}), and run the same command again: what was answered is kept"
    )


def note_of(config: SystemConfig, predictions: Predictions) -> str:
    """What a reader of the row must know of its model's failures; empty if there is nothing, or no remote model."""
    calls = list(predictions.calls.values())
    if remote(config) is None or not calls:
        return ""
    failed = sum(map(_failed, calls))
    unusable = sum(call.degraded and not _failed(call) for call in calls)
    there = (
        f"there the list is that of {config.of!r}" if isinstance(config, RankedSystem) else "there the list is empty"
    )
    notes: list[str] = []
    if failed:
        notes.append(f"no answer for {failed:,} of {len(calls):,} calls; {there}")
    if unusable:
        notes.append(f"{unusable:,} of {len(calls):,} answers named no candidate; {there}")
    if failed < len(calls) and all(call.repaired for call in calls if not _failed(call)):
        notes.append("every answer had to be repaired: none was exactly what was asked for")
    return "; ".join(notes)


def warning_of(predictions: Predictions) -> str:
    """One sentence about calls without an answer, with the first reason; empty if there are none."""
    failed = [call for call in predictions.calls.values() if _failed(call)]
    if not failed:
        return ""
    return f"no answer for {len(failed):,} of {len(predictions.calls):,} calls; the first reason: {failed[0].failure}"


def _failed(call: Call) -> bool:
    """Whether there was no answer; one that cannot be used is an answer."""
    return call.degraded and not call.answer


__all__ = ["note_of", "remote", "stop_if_dead", "warning_of"]
