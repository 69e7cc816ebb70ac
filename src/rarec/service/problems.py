"""Errors as RFC 9457 problem documents, and the one table of which error has which status."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from rarec.complaints import unknown_key
from rarec.errors import (
    BudgetExceeded,
    BundleError,
    Conflict,
    EmbedderError,
    InputError,
    LLMError,
    LLMTimeout,
    MissingExtra,
    RarecError,
    ReplayDiffers,
    SettingsError,
    StoreError,
    UnknownItem,
    UnknownSession,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:rarec:problem:"
MOST_LISTED = 20
_MOST_NAMED = 60
_OF_TEXTS = ("attributes", "any_of", "all_of", "none_of")
_MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem.

    Attributes:
        name: the end of its ``type``.
        advice: told instead of the error's own words where those speak of the inside (paths, settings); empty where
            they are meant for the caller.
        retry_after_s: after which it may be gone.
    """

    status: int
    name: str
    title: str
    advice: str = ""
    retry_after_s: int | None = None


INTERNAL = Kind(
    500, "internal", "Internal error",
    "This is a fault of the service. Tell whoever runs it the request_id; it is in the log.",
)  # fmt: skip

KINDS: Mapping[type[RarecError], Kind] = {
    UnknownItem: Kind(404, "unknown-item", "No such item"),
    UnknownSession: Kind(404, "unknown-session", "No such session"),
    Conflict: Kind(409, "conflict", "Something else stands there already"),
    InputError: Kind(422, "invalid-input", "The request cannot be answered as it is"),
    StoreError: Kind(
        503, "store-unavailable", "The store cannot be used",
        "What is stored cannot be read or written now. Try again; if it stays so, whoever runs the service finds the "
        "cause in the log under the request_id.", 5,
    ),
    EmbedderError: Kind(
        503, "embedder-unavailable", "Texts cannot be embedded",
        "The embedder does not answer. Try again; if it stays so, whoever runs the service finds the cause in the log "
        "under the request_id.", 5,
    ),
    LLMTimeout: Kind(504, "model-timeout", "The language model was too slow", "Try again later.", 5),
    LLMError: Kind(502, "model-failed", "The language model failed", "Try again later."),
    BudgetExceeded: Kind(503, "budget-exceeded", "A ceiling of spending is reached", "Ask whoever runs the service."),
    SettingsError: INTERNAL,
    BundleError: INTERNAL,
    MissingExtra: INTERNAL,
    ReplayDiffers: INTERNAL,
    RarecError: INTERNAL,
}  # fmt: skip
"""The nearest class of an error's family counts."""

_STATUS_ADVICE = {
    400: "The body must be JSON in UTF-8.",
    404: "There is nothing at this path; /docs lists what there is.",
    405: "This path knows other methods; the Allow header names them, /docs lists them.",
}

_TYPE = re.compile(r"(function-\w+|list|union|nullable)\[.*\]", re.DOTALL)
"""What pydantic writes into a place for one of several types that may stand there."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake in a request: where, dotted, and what may stand there."""

    where: str
    detail: str


@dataclass(slots=True, eq=False)
class Problem(Exception):
    """What ends a request with a status of 400 or more.

    Attributes:
        detail: what happened and what to do.
        errors: what is wrong where.
        more: further members of the document.
    """

    status: int
    name: str
    title: str
    detail: str
    errors: Sequence[Wrong] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return f"{self.status} {self.name}: {self.detail}"


def kind_of(error: BaseException) -> Kind:
    """The row of the table for an error; what is not ours is internal."""
    for family in type(error).__mro__:
        if family in KINDS:
            return KINDS[family]
    return INTERNAL


def problem_of(error: BaseException) -> Problem:
    """An error as a problem; one that is a problem stays as it is."""
    if isinstance(error, Problem):
        return error
    kind = kind_of(error)
    headers = {} if kind.retry_after_s is None else {"Retry-After": str(kind.retry_after_s)}
    return Problem(kind.status, kind.name, kind.title, kind.advice or str(error), headers=headers)


def invalid(*wrong: Wrong, detail: str = "") -> Problem:
    """What is wrong in a request that was understood as JSON."""
    told = detail or "; ".join(f"{w.where}: {w.detail}" for w in wrong[:3]) + ("; ..." if len(wrong) > 3 else "")
    return Problem(422, "invalid-request", "The request has wrong values", told, errors=wrong)


def wrong_values(errors: Sequence[Any], model: type[BaseModel] | None = None) -> list[Wrong]:
    """Pydantic's errors, as places and words.

    Args:
        model: of the body, if it is known: then an unknown name is told which ones there are.
    """
    found = []
    for error in errors:
        loc = tuple(part for part in error["loc"] if part != "body" and not _TYPE.fullmatch(str(part)))
        found.append(Wrong(".".join(map(str, loc)) or "body", _words(error, loc, model)))
    return found


def _words(error: Mapping[str, Any], loc: tuple[str | int, ...], model: type[BaseModel] | None) -> str:
    if error.get("type") == "extra_forbidden" and model is not None:
        told = unknown_key(loc, model)
        if loc[-2:-1] == ("filters",):  # an attribute, as one would write it at first
            shown = json.dumps({"any_of": {str(loc[-1])[:_MOST_NAMED]: ["..."]}}, ensure_ascii=False)
            return f"{told}; values of an attribute stand in any_of, all_of or none_of: {shown}"
        return told
    if error.get("type") == "list_type" and loc[-2:-1] and loc[-2] in _OF_TEXTS:
        value = error.get("input")
        scalar = isinstance(value, (str, int, float)) and len(str(value)) <= _MOST_NAMED
        return f"must be a list of texts, such as {json.dumps([str(value) if scalar else '...'], ensure_ascii=False)}"
    words = str(error["msg"]).removeprefix("Value error, ")
    return words.replace("Input should", "must").replace(" should ", " must ")


def of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """A problem that only has a status."""
    phrase = HTTPStatus(status).phrase
    return Problem(
        status, phrase.lower().replace(" ", "-"), phrase, _STATUS_ADVICE.get(status, detail), (), headers or {}
    )


def problem_document(problem: Problem) -> dict[str, Any]:
    """What is told of a problem, whoever asked."""
    document: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.name,
        "title": problem.title,
        "status": problem.status,
        "detail": _short(problem.detail),
        **problem.more,
    }
    if problem.errors:
        shown = problem.errors[:MOST_LISTED]
        document["errors"] = [{"where": _short(w.where), "detail": _short(w.detail)} for w in shown]
        if len(problem.errors) > len(shown):
            document["more_errors"] = len(problem.errors) - len(shown)
    return document


def response(problem: Problem, *, request_id: str, path: str) -> Response:
    """The document as it is sent. Under the paths of OpenAI's API it also has the ``error`` that their clients read."""
    document = problem_document(problem) | {"request_id": request_id}
    if path.startswith(("/v1/chat", "/v1/models")):
        document["error"] = {
            "message": document["detail"],
            "type": "invalid_request_error" if problem.status < 500 else "server_error",
            "param": problem.errors[0].where if problem.errors else None,
            "code": problem.name,
        }
    return Response(as_json(document), problem.status, dict(problem.headers), MEDIA_TYPE)


def as_json(document: Any) -> bytes:
    """JSON in UTF-8, whatever the texts hold: half a surrogate pair becomes a question mark."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"
