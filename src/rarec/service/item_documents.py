"""What requests about items look like, and their answers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SkipValidation
from pydantic.config import JsonDict

from rarec.service.documents import Strict, Text, Values, Year
from rarec.types import Item, ItemId

ITEM_EXAMPLE: JsonDict = {
    "id": "tea-7", "title": "Smoked Pine Tea", "text": "Black tea dried over pine.", "year": 2024,
    "attributes": {"kind": ["black"], "origin": ["Fujian"]}, "popularity": 12.0,
}  # fmt: skip


class ItemOut(BaseModel):
    """An item of the catalogue."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM_EXAMPLE]})

    id: str
    title: str
    text: str
    year: int | None
    attributes: dict[str, list[str]]
    popularity: float


class ItemIn(Strict):
    """An item as it is written."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM_EXAMPLE]})

    id: Text = Field(min_length=1, description="Unique; printable characters.")
    title: Text = Field(min_length=1)
    text: Text = ""
    year: Year | None = None
    attributes: Values = Field(default={}, description="Name -> values, to filter by.")
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
