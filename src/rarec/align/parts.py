"""What decides the weights of a run, in parts that can be read: by them two runs are told apart."""

from __future__ import annotations

import json
from collections.abc import Mapping

Parts = Mapping[str, object]
"""Name -> value, JSON. A name is a recipe's dotted key, or says what else decides."""
_LONGEST = 40


def flat(document: Mapping[str, object], *, before: str = "") -> dict[str, object]:
    """The values of a document by dotted keys.

    >>> flat({"loop": {"batch": 8}, "seeds": [0]})
    {'loop.batch': 8, 'seeds': [0]}
    """
    found: dict[str, object] = {}
    for name, value in document.items():
        found |= flat(value, before=f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def of_another_run(what: str, own: Parts, other: Parts) -> str:
    """The refusal of a file of another run: what differs, and the remedy.

    Args:
        what: the file, e.g. ``the ledger 'runs/a/seed-0/ledger.jsonl'``.
        own: parts of this run.
        other: the file's; empty if it does not tell them.
    """
    told = [
        f"{name} is {_shown(own.get(name))}, and was {_shown(other.get(name))}"
        for name in {**own, **other}
        if own.get(name) != other.get(name)
    ]
    if not (own and other):
        why = "with another recipe, bundle or data; it does not tell which"
    else:
        why = "; ".join(told) or "recipe and bundle are the same, so the conversations, items or events are not"
    return (
        f"{what} is of another run ({why}): what it holds would not be of this one; give this run a folder of its own "
        "with --out, or restore what differs"
    )


def _shown(value: object) -> str:
    """In short; of a long one a start, or nothing that two could share."""
    if value is None:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
