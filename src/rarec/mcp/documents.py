"""What the tools take and give; schemas and checks are those of the HTTP API wherever it has the same thing."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rarec.service.documents import ReadOut, Strict, Text, UnknownOut
from rarec.service.item_documents import ItemOut
from rarec.service.recommend_documents import MentionOut, RecommendIn, TurnIn
from rarec.service.session_documents import FeedbackIn, FeedbackOut

NEW = "new"
"""As a session: start one."""


class RecommendArguments(RecommendIn):
    """A conversation or a text, a history of items, and filters; without any of them the answer is a mix."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "Something calm for the evening?", "n": 5, "session": NEW}]}
    )

    text: Text = Field(default="", description="What the user says now; goes behind the messages.")
    session: Annotated[Text, Field(min_length=1, max_length=128)] | None = Field(
        default=None,
        description='"new" starts a session, which keeps the conversation and takes feedback; the id of one goes on '
        "from it, with the last message of the user. Without it nothing is kept.",
    )

    def whole(self) -> RecommendArguments:
        """With the text as the last message."""
        if not self.text:
            return self
        return self.model_copy(update={"messages": [*self.messages, TurnIn(role="user", content=self.text)]})


class SearchArguments(Strict):
    """Beginnings of words of a title."""

    query: Text = Field(min_length=1, max_length=500, description="Beginnings of words of the title, in any order.")
    limit: int = Field(default=10, ge=1, le=100, description="How many items at most.")


class ItemArguments(Strict):
    """An item by its id."""

    id: Text = Field(min_length=1, description="As recommend and search_items give it.")


class FeedbackArguments(FeedbackIn):
    """What the user did with items of answers that were given in a session."""


class FoundItem(BaseModel):
    """An item without its text."""

    id: str
    title: str
    year: int | None
    attributes: dict[str, list[str]]


class RecommendedItem(FoundItem):
    """One line of an answer."""

    rank: int = Field(description="1 is the best.")
    why: str = Field(description="One sentence for the user; may be empty.")
    score: float = Field(description="The retriever's: higher is better, no fixed range.")


class RecommendResult(BaseModel):
    """An answer: every item is in the catalogue, passes the filters, and was not mentioned before."""

    items: list[RecommendedItem]
    reply: str = Field(description="For the user.")
    degraded: bool = Field(description="No language model took part; the order is the retriever's.")
    reason: str = Field(description="Why it is degraded, else empty.")
    mentions: list[MentionOut] = Field(description="Items that were found in the words.")
    read: list[ReadOut] = Field(description="What the words ask for, held to like filters.")
    unknown: list[UnknownOut] = Field(description="Words that ask for what no filter can hold.")
    session: str | None = Field(description="For feedback and for going on; null if nothing is kept.")
    turn: int | None = Field(description="Number of this answer in its session, for feedback.")
    kept: bool


class SearchResult(BaseModel):
    """Items whose titles fit, best first."""

    items: list[FoundItem]


RESULTS: dict[str, type[BaseModel]] = {
    "recommend": RecommendResult,
    "search_items": SearchResult,
    "get_item": ItemOut,
    "give_feedback": FeedbackOut,
}


def short(document: dict[str, Any], *more: str) -> dict[str, Any]:
    """Of an item's document what tells it from others, and `more`."""
    return {name: document[name] for name in ("id", "title", "year", "attributes", *more)}
