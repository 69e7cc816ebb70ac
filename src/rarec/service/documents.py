"""What requests and answers look like, for people and for /openapi.json."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SkipValidation
from pydantic.config import JsonDict

from rarec.catalogue.validation import YEAR_MAX, YEAR_MIN
from rarec.types import Filters, Item, ItemId, Role, Sentiment

FILTERS_EXAMPLE: JsonDict = {"any_of": {"genres": ["Drama"]}, "year_min": 2000}
ITEM_EXAMPLE: JsonDict = {
    "id": "tea-7", "title": "Smoked Pine Tea", "text": "Black tea dried over pine.", "year": 2024,
    "attributes": {"kind": ["black"], "origin": ["Fujian"]}, "popularity": 12.0,
}  # fmt: skip


def _whole(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8: it holds half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
"""Text that can be stored, embedded and sent on."""

_Values = dict[Text, list[Text]]
_Year = Annotated[int, Field(ge=YEAR_MIN, le=YEAR_MAX)]


class Strict(BaseModel):
    """A part of a request: unknown names and other types are errors, so that a mistyped name is not lost."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FiltersIn(Strict):
    """What an answer may contain; whatever is said in words, these hold."""

    any_of: _Values = Field(default={}, description="Attribute -> values; an item needs one of each. Without case.")
    all_of: _Values = Field(default={}, description="Attribute -> values; an item needs every one. Without case.")
    none_of: _Values = Field(default={}, description="Attribute -> values that an item must not have.")
    year_min: _Year | None = Field(default=None, description="Inclusive; items without a year fail.")
    year_max: _Year | None = Field(default=None, description="Inclusive; items without a year fail.")
    exclude: list[Text] = Field(default=[], description="Ids that must not be returned.")

    def filters(self) -> Filters:
        any_of, all_of, none_of = (
            {name: tuple(wanted) for name, wanted in values.items()}
            for values in (self.any_of, self.all_of, self.none_of)
        )
        excluded = frozenset(map(ItemId, self.exclude))
        return Filters(any_of, none_of, self.year_min, self.year_max, excluded, all_of=all_of)


WORDS = Field(default=True, description="Hold to what the words ask for; `filters` of the answer says what was read.")
Without = Annotated[
    list[Text], Field(max_length=200, description="`constraint`s that were read from words and are taken back.")
]


class TurnIn(Strict):
    """One message."""

    role: Role = Field(description="`user` is the one who looks for something, `assistant` the recommender.")
    content: Text


class KnownItem(Strict):
    """An item that the user knows."""

    id: Text
    sentiment: Sentiment = "mentioned"


class RecommendIn(Strict):
    """A conversation, a history of items, or both; without any of them the answer is a mix to start with."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"messages": [{"role": "user", "content": "Something calm for the evening?"}], "n": 5},
                {"history": [{"id": "tea-7", "sentiment": "liked"}], "filters": {"year_min": 2000}},
            ]
        }
    )

    messages: list[TurnIn] = Field(default=[], description="In order; the last one is answered.")
    history: list[KnownItem | Text] = Field(
        default=[], description="Items the user knows, oldest first: ids or objects."
    )
    filters: FiltersIn = Field(default=FiltersIn(), examples=[FILTERS_EXAMPLE])
    n: int = Field(default=10, ge=1, description="How many items; at most serve.max_n.")
    words: bool = WORDS
    without: Without = Field(default=[])


class ItemOut(BaseModel):
    """An item of the catalogue."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM_EXAMPLE]})

    id: str
    title: str
    text: str
    year: int | None
    attributes: dict[str, list[str]]
    popularity: float


class RankedOut(ItemOut):
    """One line of an answer."""

    rank: int = Field(description="1 is the best.")
    score: float = Field(description="The retriever's score: higher is better, no fixed range.")
    why: str = Field(description="One sentence for the user; may be empty.")
    retriever_rank: int = Field(description="Place in the retriever's own order, from 1.")


class MentionOut(BaseModel):
    """An item that was found in the conversation; it is not recommended."""

    item: str
    sentiment: Sentiment
    span: tuple[int, int] | None = Field(description="Where in its message: first and last character + 1.")


class UsageOut(BaseModel):
    """What the language model consumed."""

    calls: int
    prompt_tokens: int
    completion_tokens: int


class ReportOut(BaseModel):
    """What had to be repaired in the model's answer."""

    missing: int
    repeated: int
    unknown: int
    malformed: bool
    repaired: bool


class FiltersOut(BaseModel):
    """Filters as they hold."""

    any_of: dict[str, list[str]]
    all_of: dict[str, list[str]]
    none_of: dict[str, list[str]]
    year_min: int | None
    year_max: int | None
    exclude: list[str]


class ReadOut(BaseModel):
    """One wish that was read from words."""

    label: str = Field(description="For people.")
    words: str = Field(description="As they were said.")
    turn: int = Field(description="Which turn said it, from 1.")
    constraint: str = Field(description="Its id; sent as `without` it is taken back.")
    hard: bool = Field(description="Whether it is enforced, or only shown.")


class UnknownOut(BaseModel):
    """Words that ask for something that no filter can hold."""

    words: str
    why: str
    turn: int


class HeldOut(BaseModel):
    """The filters of an answer: those of the request, what was read from words, and both together."""

    applied: FiltersOut
    given: FiltersOut
    read: list[ReadOut]
    unknown: list[UnknownOut]


class RecommendOut(BaseModel):
    """An answer: every item is in the catalogue, passes the filters, and was not mentioned before."""

    items: list[RankedOut]
    reply: str
    mentions: list[MentionOut]
    usage: UsageOut
    timings_ms: dict[str, float] = Field(description="Stage -> milliseconds: link, embed, retrieve, llm, total.")
    report: ReportOut
    degraded: bool = Field(description="No language model took part; the order is the retriever's.")
    reason: str = Field(description="Why it is degraded, else empty.")
    model: str
    filters: HeldOut


class ItemIn(Strict):
    """An item as it is written."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM_EXAMPLE]})

    id: Text = Field(min_length=1, description="Unique; printable characters.")
    title: Text = Field(min_length=1)
    text: Text = ""
    year: _Year | None = None
    attributes: _Values = Field(default={}, description="Name -> values, to filter by.")
    popularity: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Any scale; only its order matters.")

    def item(self) -> Item:
        attributes = {name: tuple(values) for name, values in self.attributes.items() if values}
        return Item(ItemId(self.id), self.title, self.text, self.year, attributes, self.popularity)


class ItemBody(ItemIn):
    """An item whose id is in the path."""

    id: Text = Field(default="", description="If given, the one of the path.")


class ItemsIn(Strict):
    """Items to store. Rows are looked at one by one: a wrong one is reported and the others are stored."""

    items: list[SkipValidation[ItemIn]] = Field(
        description="At most serve.max_batch. Of two with one id the later wins."
    )


class RowError(BaseModel):
    """A row that was not stored."""

    index: int = Field(description="Its place in the request, from 0.")
    id: str | None
    errors: list[dict[str, str]] = Field(description="Each with `where` and `detail`.")


class ItemsStored(BaseModel):
    """What a batch did."""

    added: int
    updated: int
    unchanged: int
    rejected: list[RowError]


class IdsIn(Strict):
    """Items to delete."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["tea-7", "tea-8"]}]})

    ids: list[Text] = Field(description="At most serve.max_batch.")


class Deleted(BaseModel):
    """What a batch deleted; `unknown` lists the ids that were not there."""

    deleted: int
    unknown: list[str]


class ItemsPage(BaseModel):
    """Items in the order in which they came into the catalogue."""

    items: list[ItemOut]
    next: int | None = Field(description="`after` of the next page; null behind the last.")


class ItemsFound(BaseModel):
    """Items whose titles fit, best first."""

    items: list[ItemOut]
