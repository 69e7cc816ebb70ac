"""What was wrong in the dumps, in short: the rest is in problems.jsonl."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rarec.corpus.record import Problem

_SHOWN = 20
_EXAMPLES = 2


@dataclass(frozen=True, slots=True)
class Digest:
    """Problems of all sources, counted.

    Attributes:
        left_out: rows that are not used.
        put_right: rows that are used with something mended.
        unread: files that could not be read, or not to their end.
        worst: the first of those files, a line each.
        examples: the first rows of each source that were left out, and what is wrong of whole files, a line each.
    """

    left_out: int
    put_right: int
    unread: int
    worst: tuple[str, ...]
    examples: tuple[str, ...]


def digest(problems: Iterable[tuple[str, Problem]]) -> Digest:
    """Count problems, given with the names of their sources."""
    put_right, left_out, worst, unread = 0, dict[str, int](), list[str](), 0
    examples: list[str] = []
    for source, problem in problems:
        if problem.fatal:
            unread += 1
            if len(worst) < _SHOWN:
                worst.append(f"{source}: {problem}")
        elif not problem.line:
            if len(examples) < _SHOWN:
                examples.append(f"{source}: {problem}")
            put_right += problem.used
        elif problem.used:
            put_right += 1
        else:
            left_out[source] = left_out.get(source, 0) + 1
            if left_out[source] <= _EXAMPLES and len(examples) < _SHOWN:
                examples.append(f"{source}: {problem}")
    return Digest(sum(left_out.values()), put_right, unread, tuple(worst), tuple(examples))


__all__ = ["Digest", "digest"]
