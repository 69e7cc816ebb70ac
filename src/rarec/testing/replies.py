"""What the fake server is told to do, and what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """How the server answers one request; the defaults are a healthy answer.

    Attributes:
        text: the content of the message.
        status: an HTTP status; 400 and above sends an error body with `code` and `message`.
        headers: added to the response, e.g. ``{"Retry-After": "1"}``.
        delay_s: before the first byte.
        piece_chars, piece_delay_s: characters in each event of a stream, and the wait before each.
        drop_after: close the connection without an end after so many events (or before a plain answer if 0).
        hang: take the request and never answer.
        raw: these bytes as a 200 JSON body instead of an answer, e.g. ``b"{"``.
        choices: False sends an empty list of choices.
        refusal: the model refuses with these words.
        usage: False leaves the usage out.
    """

    text: str = "Hello."
    status: int = 200
    code: str = ""
    message: str = "the server was told to fail"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_s: float = 0.0
    piece_chars: int = 5
    piece_delay_s: float = 0.0
    drop_after: int | None = None
    hang: bool = False
    raw: bytes | None = None
    choices: bool = True
    refusal: str | None = None
    finish_reason: str = "stop"
    usage: bool = True
    model: str = "fake-model"


Answer = str | Reply | Callable[[Mapping[str, Any]], "str | Reply"]
"""A text, a reply, or a function of the request's body."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it arrived; names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FakeEmbeddings:
    """How ``/v1/embeddings`` behaves: hash vectors (see `HashEmbedder`), in shuffled order, each with its index.

    Attributes:
        dimension: of the vectors, unless the request asks for `dimensions`.
        max_batch: longer inputs get status 400.
        wrong_dimension: vectors have one number too many, whatever is asked.
        unit: False scales each vector by a different length.
        refuse_empty: an empty text gets status 400, as at OpenAI.
    """

    dimension: int = 16
    max_batch: int | None = None
    wrong_dimension: bool = False
    unit: bool = True
    refuse_empty: bool = False
    shuffle: bool = True
