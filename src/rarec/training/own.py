"""Data of any domain: a catalogue, conversations in our own format, and perhaps interactions."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.catalogue import CatalogueStore, Layout, Rejection, load_layout, read_items
from rarec.catalogue.fields import ColumnsError
from rarec.conversations import Interactions as Person
from rarec.conversations import JsonlSet, read_interactions, read_jsonl
from rarec.conversations.data_set import DataSetInfo
from rarec.embed.cache import CachedEmbedder
from rarec.embed.tokens import tokens_of
from rarec.errors import InputError
from rarec.progress import OnProgress
from rarec.retriever.data import ItemTable
from rarec.retriever.sequence import recommending_turns
from rarec.settings import StorePaths
from rarec.training.card import Story
from rarec.training.material import Material, Talks, sequence_of
from rarec.training.recipe import OwnData
from rarec.types import Conversation, Item, ItemId

log = logging.getLogger(__name__)

LEAST_ITEMS = 20
"""Among fewer a ranking of ten says nothing."""
ALL_COMPETE = 20_000
"""Up to so many items all compete in every step; of more, those that somebody named, and sampled negatives."""


def own_material(own: OwnData, embedder: CachedEmbedder, tell: OnProgress, *, hold_back: float) -> Material:
    """Read everything, then embed the items. What names an item that the catalogue lacks is counted and logged.

    Args:
        own: with absolute paths.
        hold_back: share of the training conversations that is left out.
    Raises:
        InputError: a file is missing or wrong, the catalogue is too small, a split has nothing to learn from, or
            nobody has two interactions with its items.
        StoreError: the catalogue is a folder without a store, or a damaged one.
        SettingsError: there is no such layout.
    """
    items, layout = read_catalogue(own)
    known = {item.id for item in items}
    data_set = JsonlSet(own.conversations)
    splits = {split: _conversations(data_set, split, known) for split in ("train", "valid")}
    name = data_set.name
    talks = Talks.of({name: splits["train"]}, {name: splits["valid"]}, hold_back=hold_back)
    if not talks.training:
        raise InputError(
            f"held_back = {hold_back!r} leaves none of the {len(splits['train'])} training conversations; lower it"
        )
    people = _people(own, known)
    tokens = tokens_of(embedder) if layout.max_tokens else None
    texts = [layout.render(item, tokens) for item in items]
    vectors = embedder.embed(texts, progress=lambda done, total: tell("embed items", done, total, ""))
    table = ItemTable.of(items, vectors)
    named = {m.item for conversations in splits.values() for c in conversations for m in c.mentions()}
    return Material(
        items,
        table,
        catalogues={data_set.name: np.arange(len(items))},
        candidates=_candidates(table, named),
        people=[sequence_of(person, table) for person in people],
        talks=talks,
        content={
            "items": _hash(
                [text, item.id, item.year, item.popularity] for text, item in zip(texts, items, strict=True)
            ),
            "interactions": _hash([person.user, person.items, person.sentiments] for person in people),
            "conversations": _hash(_document(c) for conversations in splits.values() for c in conversations),
        },
        about=_about(data_set, items, splits, people),
        story=_story(data_set.info, items, splits, people),
    )


def read_catalogue(own: OwnData) -> tuple[list[Item], Layout]:
    """The items, and how they are written for the embedder. Raises as `own_material`."""
    path = own.catalogue
    if path.is_dir():
        with CatalogueStore.open(StorePaths(path).catalogue) as store:
            items, layout = list(store), load_layout(own.layout) if own.layout else store.layout
    else:
        items, layout = list(_file_items(path)), load_layout(own.layout or "generic")
    if len(items) < LEAST_ITEMS:
        raise InputError(
            f"the catalogue {str(path)!r} has {len(items)} items; at least {LEAST_ITEMS} are needed, add some"
        )
    return items, layout


def _file_items(path: Path) -> Iterable[Item]:
    try:
        for row in read_items(path):
            if isinstance(row, Rejection):
                raise InputError(
                    f"{str(path)!r} {row}; correct or remove this line, or make a store of the good ones with "
                    "rarec import --skip-bad and name that as data.catalogue"
                )
            yield row
    except ColumnsError as error:
        raise InputError(
            f"{str(path)!r}: {error}. These are options of rarec import: make a store with it and name that as "
            "data.catalogue"
        ) from None


def _conversations(data_set: JsonlSet, split: str, known: Collection[ItemId]) -> list[Conversation]:
    path = data_set.file(split)
    conversations = list(read_jsonl(path))
    if not conversations:
        raise InputError(f"{str(path)!r} has no conversations; training needs some in train and in valid")
    mentions = [m.item for c in conversations for m in c.mentions()]
    _tell_foreign(path, "mentions", mentions, known, also=", and where they are targets they count as misses")
    if not any(item in known for _, targets in recommending_turns(conversations) for item in targets):
        raise InputError(
            f"no assistant's turn in {str(path)!r} mentions a new item of the catalogue, so there is nothing to "
            "predict; link the mentions, and give items the ids that the catalogue has"
        )
    return conversations


def _people(own: OwnData, known: Collection[ItemId]) -> list[Person]:
    if own.interactions is None:
        return []
    people = read_interactions(own.interactions, liked_from=own.liked_from, disliked_to=own.disliked_to)
    if not people:
        raise InputError(
            f"{str(own.interactions)!r} has no interactions; fill it, or leave data.interactions out of the recipe"
        )
    _tell_foreign(own.interactions, "interactions", [item for person in people for item in person.items], known)
    if not any(sum(item in known for item in person.items) > 1 for person in people):
        raise InputError(
            f"none of the {len(people)} users in {str(own.interactions)!r} has two interactions with items of the "
            "catalogue; check the ids, or leave data.interactions out of the recipe"
        )
    return people


def _tell_foreign(path: Path, what: str, named: Sequence[ItemId], known: Collection[ItemId], also: str = "") -> None:
    if foreign := [item for item in named if item not in known]:
        log.warning(
            "%s: %s of %s %s name an item that the catalogue lacks, %s different ones, first %r; nothing is learned "
            "from these%s. Add the items, or correct the ids",
            path, f"{len(foreign):,}", f"{len(named):,}", what, f"{len(set(foreign)):,}", foreign[0], also,
        )  # fmt: skip


def _candidates(table: ItemTable, named: Collection[ItemId]) -> NDArray[np.int64]:
    if len(table) <= ALL_COMPETE:
        return np.arange(len(table))
    return np.array(sorted(table.rows[item] for item in named if item in table.rows), dtype=np.int64)


def _about(
    data_set: JsonlSet, items: Sequence[Item], splits: dict[str, list[Conversation]], people: Sequence[Person]
) -> dict[str, Any]:
    return {
        "name": data_set.name,
        "items": len(items),
        "conversations": {split: len(conversations) for split, conversations in splits.items()},
        "users": len(people),
        "interactions": sum(len(person.items) for person in people),
    }


def _story(
    info: DataSetInfo, items: Sequence[Item], splits: dict[str, list[Conversation]], people: Sequence[Person]
) -> Story:
    done = sum(len(person.items) for person in people)
    before = f"{done:,} interactions of {len(people):,} users (pretraining), and\n  " if people else ""
    return Story(
        learned_from=f"{before}the {len(splits['train']):,} training conversations of {info.title} (licence: "
        f"{info.licence};\n  source: {info.source}; fine-tuning, and the ranker)",
        negatives=f"Negatives come from its\n  catalogue of {len(items):,} items.",
        chosen_on=f"the {len(splits['valid']):,} validation conversations of {info.title}",
        purpose="recommending items of this catalogue, or of one that is like it, in conversations like those of\n"
        f"  {info.title}. The licences of the data decide what else it may be used for.",
    )


def _document(conversation: Conversation) -> list[Any]:
    turns = [[t.role, t.text, [[m.item, m.sentiment, m.span] for m in t.mentions or ()]] for t in conversation.turns]
    return [conversation.id, turns]


def _hash(documents: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(json.dumps(document).encode("ascii") + b"\n")
    return digest.hexdigest()
