"""A conversation -> constraints, by a language model whose answer is checked against the vocabulary."""

from __future__ import annotations

import heapq
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio.to_thread

from rarec.constraints.atoms import MAX_CHARACTERS
from rarec.constraints.bounds import Bound, bound_label, values_within
from rarec.constraints.result import YEAR, Constraint, Constraints, Unenforced, flag_label, values_label, years_label
from rarec.constraints.understanding import MOST_CHARACTERS, newest_turn, understand
from rarec.constraints.vocabulary import Sort, Vocabulary
from rarec.llm.asking import within_deadline
from rarec.llm.protocol import LLM
from rarec.types import CompletionRequest, Conversation, Message

log = logging.getLogger(__name__)

_MOST_PARTS = 40
_SHOWN_VALUES = 40
_YEARS = range(1, 10_000)

_SYSTEM = """\
You read what a user asks a recommender for, message by message, and write down the constraints that stand at the end.
Only wishes count: not titles, not what the user tells about the past.
Later words change earlier ones: what is taken back is left out.
Use only these attributes, with values as the catalogue writes them:
{attributes}
One entry for each constraint: `values` of which one is enough; `negated` if they are refused; `soft` if it is only a
lean; `year_min` and `year_max` (inclusive) for the attribute "year" only, else null; `min` and `max` (inclusive) for
attributes of numbers only, else null; `quote` is the user's own words.
If nothing is asked for, the list is empty."""


async def understand_with(
    llm: LLM, conversation: Conversation, vocabulary: Vocabulary, *, deadline_s: float = 8.0
) -> Constraints:
    """The same as `understand`, read by a language model; whatever goes wrong with it, the rules read instead.

    The answer is text of unknown quality: attributes are held to the vocabulary's, values are looked up in it, and what
    is not found is reported as unenforced. Nothing else of the answer is used. A constraint is enforced only if the
    words that it quotes are the user's; else it is a lean. The model sees the user's messages alone: an assistant's may
    hold texts of items, and a model that obeys those could narrow what is found. Prompt, answer and rules are worked on
    in threads: an event loop waits for the model only.

    Args:
        deadline_s: seconds for the model, > 0.
    Returns:
        constraints whose `source` is ``model``, or ``rules`` with the reason in `reason`.
    """
    try:
        request = await anyio.to_thread.run_sync(_request, conversation, vocabulary, deadline_s)
        if request is None:
            return await anyio.to_thread.run_sync(understand, conversation, vocabulary)
        completion = await within_deadline(llm.name, request, lambda: llm.complete(request))
        return await anyio.to_thread.run_sync(_understood, completion.text, conversation, vocabulary)
    except Exception as error:  # a model may be anybody's code, and the words are read all the same
        # Its words may quote the user's, and logs hold nothing that a user wrote.
        log.info("the rules read the words, since the model did not: %s", type(error).__name__)
        found = await anyio.to_thread.run_sync(understand, conversation, vocabulary)
        return replace(found, reason=str(error) or type(error).__name__)


def _request(conversation: Conversation, vocabulary: Vocabulary, deadline_s: float) -> CompletionRequest | None:
    """What the model is asked; None where nothing is said, or nothing can be filtered by."""
    names, lines = _names(vocabulary), _newest(_said(conversation))
    if not names or not lines:
        return None
    return CompletionRequest(
        (
            Message("system", _SYSTEM.format(attributes="\n".join(_described(vocabulary)))),
            Message("user", "\n".join(lines)),
        ),
        schema=answer_schema(names),
        deadline_s=deadline_s,
    )


def _understood(answer: str, conversation: Conversation, vocabulary: Vocabulary) -> Constraints:
    """The answer, grounded. Raises: ValueError if it is not the JSON that was asked for."""
    said = _said(conversation)
    parts: list[Constraint] = []
    unenforced: list[Unenforced] = []
    for entry in _entries(answer)[:_MOST_PARTS]:
        grounded = _grounded(entry, said, vocabulary)
        if isinstance(grounded, Constraint):
            parts.append(grounded)
        else:
            unenforced.append(grounded)
    found = Constraints(tuple(_consistent(parts)), tuple(unenforced), source="model")
    return found.of_turn(newest_turn(conversation))


def _names(vocabulary: Vocabulary) -> tuple[str, ...]:
    return (*vocabulary.attributes, *((YEAR,) if vocabulary.has_years else ()))


def _said(conversation: Conversation) -> list[str]:
    """What the user said in each turn, as far as it is read."""
    return [turn.text[:MAX_CHARACTERS] if turn.role == "user" else "" for turn in conversation.turns]


def _newest(said: Sequence[str]) -> list[str]:
    """The user's newest messages, in order; the one that passes `MOST_CHARACTERS` is the first."""
    lines, left = [], MOST_CHARACTERS
    for text in reversed([text for text in said if text.strip()]):
        lines.append(f"user: {text}")
        left -= len(lines[-1])
        if left <= 0:
            break
    return lines[::-1]


def answer_schema(attributes: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer; `attributes` are the only names that it may use."""
    year, number = {"type": ["integer", "null"]}, {"type": ["number", "null"]}
    entry = {
        "attribute": {"type": "string", "enum": list(attributes)},
        "values": {"type": "array", "items": {"type": "string"}},
        "negated": {"type": "boolean"},
        "soft": {"type": "boolean"},
        "year_min": year,
        "year_max": year,
        "min": number,
        "max": number,
        "quote": {"type": "string"},
    }
    items = {"type": "object", "properties": entry, "required": list(entry), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"constraints": {"type": "array", "items": items}},
        "required": ["constraints"],
        "additionalProperties": False,
    }


def _described(vocabulary: Vocabulary) -> Iterator[str]:
    for name in vocabulary.attributes:
        values = vocabulary.values(name)
        if vocabulary.sort(name) is Sort.PEOPLE:
            yield f"- {name}: names of people"
        elif vocabulary.sort(name) is Sort.NUMBERS:
            spans = [span for _, span in vocabulary.spans(name)]
            least, most = min(span.low for span in spans), max(span.high for span in spans)
            yield f"- {name}: numbers from {least:g} to {most:g}, in min and max"
        else:
            shown = heapq.nlargest(_SHOWN_VALUES, values, key=lambda value: values[value])
            yield f"- {name}: {', '.join(shown)}{', ...' if len(values) > len(shown) else ''}"
    if vocabulary.has_years:
        yield f"- {YEAR}: a range, in year_min and year_max"


def _entries(text: str) -> list[Mapping[str, Any]]:
    """The constraints of an answer. Raises: ValueError if it is not the JSON that was asked for."""
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("the answer is nested too deeply") from error
    entries = document.get("constraints") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"the answer is not a list of constraints: {text[:80]!r}")
    return entries


def _grounded(entry: Mapping[str, Any], said: Sequence[str], vocabulary: Vocabulary) -> Constraint | Unenforced:
    quote = entry.get("quote")
    turn, span = _place(quote if isinstance(quote, str) else "", said)
    quoted = span[1] > span[0]
    attribute, negated, hard = entry.get("attribute"), entry.get("negated") is True, entry.get("soft") is not True
    hard = hard and quoted
    text = said[turn][slice(*span)] or str(attribute)[:80]
    if attribute == YEAR:
        low, high = _year(entry.get("year_min")), _year(entry.get("year_max"))
        sound = (low is not None or high is not None) and (low is None or high is None or low <= high)
        if sound and not negated and vocabulary.has_years:
            label = years_label(low, high)
            return Constraint(YEAR, (), label, turn, span, year_min=low, year_max=high, hard=hard)
        return Unenforced(text, "these years cannot be a filter", turn, span)
    asked = entry.get("values")
    if not isinstance(attribute, str) or attribute not in vocabulary.attributes or not isinstance(asked, list):
        return Unenforced(text, "the catalogue has no such attribute", turn, span)
    bound = Bound(attribute, _number(entry.get("min")), _number(entry.get("max")))
    if (bound.low is not None or bound.high is not None) and attribute in vocabulary.numeric and not negated:
        within = values_within(bound, vocabulary)
        if not within:
            return Unenforced(text, f"no item has such {attribute}", turn, span)
        return Constraint(attribute, within, bound_label(bound), turn, span, hard=hard)
    found = [value for name in asked if isinstance(name, str) for value in vocabulary.lookup(attribute, name)]
    values = tuple(dict.fromkeys(found))
    if not values:
        return Unenforced(text, f"no item has such {attribute}", turn, span)
    label = values_label(values, negated=negated)
    if vocabulary.sort(attribute) is Sort.FLAG:
        no = vocabulary.flag(attribute, negated=True)
        refused = negated != (values[0] in no)
        label, opposite = flag_label(attribute, negated=refused), vocabulary.flag(attribute, negated=refused)
        if negated and opposite:
            values, negated = opposite, False
    return Constraint(attribute, values, label, turn, span, negated, hard=hard)


def _place(quote: str, said: Sequence[str]) -> tuple[int, tuple[int, int]]:
    """Where the newest turn says this, with or without case; an empty span of the user's last turn if none does."""
    if quote.strip():
        words = re.compile(re.escape(quote.strip()), re.IGNORECASE)
        for turn in range(len(said) - 1, -1, -1):
            if found := words.search(said[turn]):
                return turn, found.span()
    return max(turn for turn, text in enumerate(said) if text.strip()), (0, 0)


def _year(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _YEARS else None


def _number(value: object) -> float | None:
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 else None
    )


def _consistent(parts: Sequence[Constraint]) -> Iterator[Constraint]:
    """Without refusals of what is wished for in the same breath."""
    wanted = {(part.attribute, value) for part in parts if not part.negated for value in part.values}
    for part in parts:
        left = tuple(v for v in part.values if not (part.negated and (part.attribute, v) in wanted))
        if left == part.values:
            yield part
        elif left:
            yield replace(part, values=left, label=values_label(left, negated=part.negated))
