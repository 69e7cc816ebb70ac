"""What a page needs to know before anybody has said anything."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from rarec.constraints import Sort, Vocabulary
from rarec.service.admission import parts_of
from rarec.service.parts import Parts
from rarec.service.problems import Problem, as_json
from rarec.types import Item

router = APIRouter(prefix="/v1", tags=["service"])

_MOST_VALUES = 30


class VocabularyOut(BaseModel):
    """What can be filtered by."""

    attributes: dict[str, list[str]] = Field(
        description="Of attributes that are kinds, those with few values first: the most frequent values."
    )
    people: list[str] = Field(description="Attributes that name people.")
    year_min: int | None
    year_max: int | None


class ServiceOut(BaseModel):
    """The service as a page shows it; without a key where one is needed hardly anything is told."""

    model: str
    items: int
    example_messages: list[str]
    vocabulary: VocabularyOut
    keys_needed: bool
    layout: str = Field(description="Of the catalogue, `film` or another: pages choose their words by it.")
    owner: bool = Field(description="Whether the caller may use /v1/admin.")


@router.get("/service", response_model=ServiceOut)
async def describe_service(request: Request) -> Response:
    """Model, number of items, messages to begin with, what can be filtered by, and who the caller is."""
    parts = parts_of(request)
    needed, vocabulary, owner = await parts.access.keys_needed(), None, False
    try:
        owner = (await parts.access.admit(request)).admin
        vocabulary = parts.vocabulary if parts.ready else None
    except Problem as problem:
        if problem.status != 401:
            raise
    document = {
        "model": parts.settings.model_name,
        "items": parts.items if vocabulary is not None else 0,
        "example_messages": [],
        "vocabulary": {"attributes": {}, "people": [], "year_min": None, "year_max": None},
        "keys_needed": needed,
        "layout": "",
        "owner": owner,
    }
    if vocabulary is not None:
        known = vocabulary
        document |= await parts.aside(lambda: _described(parts, known))
    return Response(as_json(document), media_type="application/json")


def _described(parts: Parts, vocabulary: Vocabulary) -> dict[str, Any]:
    sorts = (Sort.NARROW, Sort.FLAG, Sort.WIDE)
    kinds = [name for name in vocabulary.attributes if vocabulary.sort(name) in sorts]
    kinds.sort(key=lambda name: (sorts.index(vocabulary.sort(name)), len(vocabulary.values(name)), name))
    attributes = {name: _frequent(vocabulary, name) for name in kinds}
    told = {name: attributes[name] for name in kinds if vocabulary.sort(name) is not Sort.FLAG}
    people = [name for name in vocabulary.attributes if vocabulary.sort(name) is Sort.PEOPLE]
    years = vocabulary.years or (None, None)
    return {
        "layout": parts.recommender.engine.catalogue.layout.name,
        "example_messages": list(parts.settings.example_messages) or _examples(parts.popular, told),
        "vocabulary": {"attributes": attributes, "people": people, "year_min": years[0], "year_max": years[1]},
    }


def _frequent(vocabulary: Vocabulary, attribute: str) -> list[str]:
    counts = vocabulary.values(attribute)
    return sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_VALUES]


def _examples(popular: tuple[Item, ...], attributes: dict[str, list[str]]) -> list[str]:
    """From the catalogue alone: nobody has to say what it holds."""
    found = ["Surprise me."]
    for item, words in zip(popular, ("I liked {}. What else?", "Something like {}, but less known?"), strict=False):
        found.append(words.format(item.title))
    if first := next((values for values in attributes.values() if values), None):
        found.append(f"I am looking for: {first[0]}.")
    return found
