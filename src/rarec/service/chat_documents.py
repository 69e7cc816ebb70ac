"""The part of OpenAI's chat API that means something here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rarec.service.documents import FILTERS_EXAMPLE, WORDS, FiltersIn, HeldOut, Strict, Text, Without


class Part(BaseModel):
    """A part of a message; only text is read."""

    type: str
    text: Text | None = None


class ChatMessage(BaseModel):
    """A message as clients send it."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[Part] | None = Field(default=None, description="A text, or a list of parts of type `text`.")


class StreamOptions(BaseModel):
    """What a stream holds beside the reply."""

    include_usage: bool = False


class ChatExtension(Strict):
    """What rarec takes beyond OpenAI's API; the openai client sends it by `extra_body={"rarec": {...}}`."""

    n: int = Field(default=10, ge=1, description="How many items.")
    filters: FiltersIn = Field(default=FiltersIn(), examples=[FILTERS_EXAMPLE])
    session: Text | None = Field(
        default=None, min_length=1, max_length=128,
        description="Of POST /v1/sessions. What it holds comes before the last message of the user; others are not "
        "read. The turn is kept in it.",
    )  # fmt: skip
    words: bool = WORDS
    without: Without = Field(default=[])


class ChatIn(BaseModel):
    """A chat request.

    How the model is asked is set where the service runs: `temperature`, `top_p`, `max_tokens`, `stop`, `seed`,
    penalties, `tools` that need not be called, `user`, `metadata` and unknown names are taken and change nothing.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "rarec", "messages": [{"role": "user", "content": "Something calm for the evening?"}]},
                {
                    "model": "rarec",
                    "messages": [{"role": "user", "content": "Something calm?"}],
                    "stream": True,
                    "rarec": {"n": 3, "filters": FILTERS_EXAMPLE},
                },
            ]
        }
    )

    model: str = Field(description="As /v1/models lists it.")
    messages: list[ChatMessage] = Field(
        min_length=1, description="Only those of `user` and `assistant` are read; a system message changes nothing."
    )
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = Field(default=None, description="Choices; there is one.")
    temperature: float | None = Field(default=None, ge=0, le=2, description="Taken, and without effect.")
    max_tokens: int | None = Field(default=None, ge=1, description="Taken, and without effect.")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="Taken, and without effect.")
    tools: list[Any] | None = Field(default=None, description="Taken, and never called.")
    tool_choice: Any = Field(default=None, description="`none` or `auto`; a call cannot be forced.")
    response_format: Any = Field(default=None, description='Only {"type": "text"}.')
    logprobs: Literal[False] | None = None
    modalities: list[Literal["text"]] | None = None
    rarec: ChatExtension = ChatExtension()


class ChatItem(BaseModel):
    """A recommended item; `GET /v1/items/{id}` has the rest."""

    id: str
    title: str
    year: int | None
    score: float
    why: str
    retriever_rank: int


class ChatFacts(BaseModel):
    """What stands in `rarec` of an answer, and of the last chunk with a choice in a stream."""

    items: list[ChatItem]
    degraded: bool
    reason: str
    timings_ms: dict[str, float]
    ignored: list[str] = Field(description="Roles of messages that were not read.")
    session: str | None = Field(description="As asked for.")
    turn: int | None = Field(description="Number of this answer in its session; null where it is not kept.")
    kept: bool = Field(
        description="Whether the turn stands in its session; false with a session: the database is gone."
    )
    filters: HeldOut


class ChatReply(BaseModel):
    """The message."""

    role: Literal["assistant"]
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """The only choice."""

    index: int
    message: ChatReply
    logprobs: None = None
    finish_reason: Literal["stop"]


class ChatUsage(BaseModel):
    """Tokens of the model behind; zeros where none took part or it does not say."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatOut(BaseModel):
    """An answer without streaming."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    rarec: ChatFacts


class ModelOut(BaseModel):
    """A model as clients list it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsOut(BaseModel):
    """All models: one."""

    object: Literal["list"]
    data: list[ModelOut]
