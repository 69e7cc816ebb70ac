"""What the documents of several routes share: texts, filters, and what was read from words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from rarec.catalogue.validation import YEAR_MAX, YEAR_MIN
from rarec.constraints import Bound
from rarec.types import Filters, ItemId

FILTERS_EXAMPLE: JsonDict = {"any_of": {"genres": ["Drama"]}, "year_min": 2000}


def _whole(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8: it holds half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
"""Text that can be stored, embedded and sent on."""

Values = dict[Text, list[Text]]
Year = Annotated[int, Field(ge=YEAR_MIN, le=YEAR_MAX)]


class Strict(BaseModel):
    """A part of a request: unknown names and other types are errors, so that a mistyped name is not lost."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RangeIn(Strict):
    """Numbers from one to another."""

    min: float | None = Field(default=None, allow_inf_nan=False, description="Inclusive.")
    max: float | None = Field(default=None, allow_inf_nan=False, description="Inclusive.")


class FiltersIn(Strict):
    """What an answer may contain; whatever is said in words, these hold."""

    any_of: Values = Field(default={}, description="Attribute -> values; an item needs one of each. Without case.")
    all_of: Values = Field(default={}, description="Attribute -> values; an item needs every one. Without case.")
    none_of: Values = Field(default={}, description="Attribute -> values that an item must not have.")
    ranges: dict[Text, RangeIn] = Field(
        default={},
        description="Attribute whose values are numbers -> what they may be; held to as `any_of` the values within.",
    )
    year_min: Year | None = Field(default=None, description="Inclusive; items without a year fail.")
    year_max: Year | None = Field(default=None, description="Inclusive; items without a year fail.")
    exclude: list[Text] = Field(default=[], description="Ids that must not be returned.")

    def filters(self) -> Filters:
        any_of, all_of, none_of = (
            {name: tuple(wanted) for name, wanted in values.items()}
            for values in (self.any_of, self.all_of, self.none_of)
        )
        excluded = frozenset(map(ItemId, self.exclude))
        return Filters(any_of, none_of, self.year_min, self.year_max, excluded, all_of=all_of)

    def bounds(self) -> tuple[Bound, ...]:
        return tuple(Bound(name, asked.min, asked.max) for name, asked in self.ranges.items())


WORDS = Field(default=True, description="Hold to what the words ask for; `filters` of the answer says what was read.")
Without = Annotated[
    list[Text], Field(max_length=200, description="`constraint`s that were read from words and are taken back.")
]


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
    read_by: Literal["rules", "model"] = Field(description="Who read the words; serve.words says who is to.")
