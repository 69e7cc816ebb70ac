"""Items over HTTP: what is written is recommended from the next answer on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from rarec.catalogue.validation import item_problem
from rarec.documents import item_document
from rarec.service.admission import admitted, parts_of
from rarec.service.item_documents import (
    Deleted,
    IdsIn,
    ItemBody,
    ItemIn,
    ItemOut,
    ItemsFound,
    ItemsIn,
    ItemsPage,
    ItemsStored,
)
from rarec.service.problems import Wrong, as_json, invalid, wrong_values
from rarec.types import Item, ItemId

router = APIRouter(prefix="/v1/items", tags=["items"], dependencies=[Depends(admitted)])

MOST_LISTED = 1000
_SQL_MOST = (1 << 63) - 1
_MOST_WRONG = 20
_Many = Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many at most.")]


@router.get("", response_model=ItemsPage)
async def list_items(
    request: Request,
    limit: _Many = 100,
    after: Annotated[int, Query(ge=0, le=_SQL_MOST, description="`next` of the page before.")] = 0,
    id: Annotated[
        list[str] | None, Query(description="Only these items, in this order; unknown ones are left out.")
    ] = None,
) -> Response:
    """Items in the order in which they came into the catalogue, page by page, or those of some ids."""
    parts = parts_of(request)
    catalogue = parts.recommender.engine.catalogue
    if id is not None:
        if len(id) > MOST_LISTED:
            raise invalid(Wrong("query.id", f"at most {MOST_LISTED} ids are taken"))
        found = await parts.aside(lambda: catalogue.get_many(map(ItemId, id), missing="skip"))
        return _json({"items": [item_document(item) for item in found], "next": None})
    page = await parts.aside(lambda: catalogue.page(after, n=limit))
    return _json({"items": [item_document(item) for item in page.items], "next": page.next})


@router.get("/search", response_model=ItemsFound)
async def search_items(
    request: Request,
    q: Annotated[str, Query(min_length=1, max_length=500, description="Beginnings of words of the title.")],
    limit: _Many = 10,
) -> Response:
    """Items by words of their titles, in any order, without case and accents; whole titles first, then the popular."""
    parts = parts_of(request)
    titles = parts.titles
    found = await parts.aside(lambda: titles.find(q, n=limit))
    return _json({"items": [item_document(item) for item in found]})


@router.post("", response_model=ItemsStored, responses={207: {"model": ItemsStored, "description": "Some were not."}})
async def store_items(request: Request, rows: ItemsIn) -> Response:
    """Store items, replacing those of the same ids; doing it again changes nothing.

    The good rows are stored in one transaction. The status is 207 if a row was not; `rejected` says which and why.
    """
    parts = parts_of(request)
    catalogue = parts.recommender.engine.catalogue
    _check_batch(len(rows.items), "items", parts.settings.max_batch)
    items, rejected = await parts.aside(lambda: _sorted_out(rows.items))
    counts = await parts.aside(lambda: catalogue.add(items))
    return _json({**counts._asdict(), "rejected": rejected}, status=207 if rejected else 200)


@router.post("/delete", response_model=Deleted)
async def delete_items(request: Request, ids: IdsIn) -> Response:
    """Delete items; ids that are not there are listed and no error, so doing it again is safe."""
    parts = parts_of(request)
    catalogue = parts.recommender.engine.catalogue
    _check_batch(len(ids.ids), "ids", parts.settings.max_batch)
    wanted = [ItemId(i) for i in dict.fromkeys(ids.ids)]

    def delete() -> tuple[int, list[str]]:
        there = {item.id for item in catalogue.get_many(wanted, missing="skip")}
        return catalogue.delete(wanted, missing="skip"), [i for i in wanted if i not in there]

    deleted, unknown = await parts.aside(delete)
    return _json({"deleted": deleted, "unknown": unknown})


@router.get("/{item_id:path}", response_model=ItemOut)
async def get_item(request: Request, item_id: str) -> Response:
    """One item. Ids with slashes may be written as they are; `/v1/items?id=` reaches one that is called `search`."""
    parts = parts_of(request)
    catalogue = parts.recommender.engine.catalogue
    return _json(item_document(await parts.aside(lambda: catalogue.get(ItemId(item_id)))))


@router.put("/{item_id:path}", response_model=ItemOut, responses={201: {"model": ItemOut, "description": "It is new."}})
async def put_item(request: Request, item_id: str, body: ItemBody) -> Response:
    """Store one item under its id, replacing what was there."""
    if body.id not in ("", item_id):
        raise invalid(Wrong("id", f"is {body.id[:100]!r}, but the path names {item_id[:100]!r}; leave it out"))
    parts = parts_of(request)
    catalogue = parts.recommender.engine.catalogue
    item = body.model_copy(update={"id": item_id}).item()
    if problem := item_problem(item):
        raise invalid(_place(problem))
    counts = await parts.aside(lambda: catalogue.add((item,)))
    return _json(item_document(item), status=201 if counts.added else 200)


@router.delete("/{item_id:path}", status_code=204)
async def delete_item(request: Request, item_id: str) -> Response:
    """Delete one item."""
    parts = parts_of(request)
    catalogue = parts.recommender.engine.catalogue
    await parts.aside(lambda: catalogue.delete((ItemId(item_id),)))
    return Response(status_code=204)


def _sorted_out(rows: list[Any]) -> tuple[list[Item], list[dict[str, Any]]]:
    """The items of the good rows, and what is wrong with the others."""
    items, rejected = [], []
    for index, row in enumerate(rows):
        found: list[Wrong] = []
        try:
            item = ItemIn.model_validate(row).item()
        except ValidationError as error:
            found = wrong_values(error.errors(include_url=False), ItemIn)
        else:
            if problem := item_problem(item):
                found = [_place(problem)]
            else:
                items.append(item)
        if found:
            named = row.get("id") if isinstance(row, dict) else None
            rejected.append(
                {
                    "index": index,
                    "id": named[:200] if isinstance(named, str) else None,
                    "errors": [{"where": w.where[:200], "detail": w.detail[:500]} for w in found[:_MOST_WRONG]],
                }
            )
    return items, rejected


def _place(problem: str) -> Wrong:
    """The validation's sentences begin with the field, except about attributes."""
    first = problem.partition(" ")[0]
    return Wrong(first if first in ("id", "title", "text", "year", "popularity") else "attributes", problem)


def _check_batch(size: int, where: str, most: int) -> None:
    if size > most:
        raise invalid(Wrong(where, f"has {size} entries, at most {most} are taken at once; send several requests"))


def _json(document: Any, *, status: int = 200) -> Response:
    return Response(as_json(document), status, media_type="application/json")
