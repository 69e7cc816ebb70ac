"""ReDial dialogues -> conversations."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rarec.conversations.data_set import Watch
from rarec.conversations.lines import FirstLines, Record, json_records
from rarec.conversations.parquet import read_columns
from rarec.conversations.redial_official import SENTIMENT, Movies, official_conversation, official_id
from rarec.conversations.spans import SpanFinder, without_year
from rarec.types import Conversation, ItemId, Mention, Role, Sentiment, Turn

ROLES: Mapping[str, Role] = {"seeker": "user", "recommender": "assistant"}


def read_redial(
    path: str | Path,
    *,
    titles: Mapping[str, str] | None = None,
    ids: Mapping[str, ItemId] | None = None,
    keep: Callable[[str], bool] | None = None,
    watch: Watch | None = None,
) -> Iterator[Conversation]:
    """The dialogues of a JSONL file (.zst and .gz too) in order; each message is a turn of its own.

    Lines are of the merged format (``turns`` with item ids) or ReDial's own (``messages`` with "@12345").
    A mention is an item id with the span of its title in the text, None where the title is not found; items
    that could not be mapped are left out. Its sentiment is what the seeker answered about the film after the
    dialogue, or else the recommender. HTML entities in the text are resolved.

    Args:
        titles: ReDial movie id -> title, see `redial_titles`; None uses ``../mapping/redial_movie_ids.parquet``
            beside the file's folder if it exists. What a dialogue itself calls a film comes first.
        ids: ReDial movie id -> item, for lines of ReDial's own format; None uses the same table, and without it
            the movie ids are the item ids.
        keep: reads only the dialogues whose id it accepts.
        watch: counts annotated mentions and tells how far it is.
    Raises:
        InputError: there is no such file, or a line is wrong; or an id comes twice; file, line and field are named.
        MissingExtra: zstandard (or pyarrow, for the titles) is not installed.
    """
    path, watch = Path(path), watch or Watch()
    mapping = path.parent.parent / "mapping" / "redial_movie_ids.parquet"
    if mapping.exists():
        titles = redial_titles(mapping) if titles is None else titles
        ids = redial_items(mapping) if ids is None else ids
    movies, seen = Movies(dict(titles or {}), ids), FirstLines()
    for record in json_records(path, progress=watch.progress):
        official = record.has("messages")
        name = official_id(record) if official else record.name("conv_id")
        seen.add(record, "conversationId" if official else "conv_id", name)
        if keep is not None and not keep(name):
            continue
        if official:
            yield official_conversation(record, movies, watch)
        else:
            yield _conversation(record, movies.titles, watch)


def redial_titles(path: str | Path) -> dict[str, str]:
    """ReDial movie id -> "Title (year)", from redial_movie_ids.parquet."""
    columns = read_columns(path, ("redial_id", "title"), purpose="reading ReDial's titles")
    return {str(movie): title.strip() for movie, title in zip(*columns, strict=True) if title}


def redial_items(path: str | Path) -> dict[str, ItemId]:
    """ReDial movie id -> item, from redial_movie_ids.parquet; those that could not be mapped are left out."""
    columns = read_columns(path, ("redial_id", "item"), purpose="reading ReDial's movie ids")
    return {str(movie): ItemId(str(item)) for movie, item in zip(*columns, strict=True) if item is not None}


def _conversation(record: Record, titles: Mapping[str, str], watch: Watch) -> Conversation:
    labels = record.records("labels") if record.has("labels") else []
    known = {**titles, **_label_titles(labels)}
    sentiments = _sentiments(labels)
    turns = tuple(_turn(turn, known, sentiments, watch) for turn in record.records("turns"))
    return Conversation(turns, id=record.name("conv_id"))


def _turn(record: Record, titles: Mapping[str, str], sentiments: Mapping[str, Sentiment], watch: Watch) -> Turn:
    text = html.unescape(record.text("text"))
    items = record.items("items")
    movies = record.names("redial_ids") if record.has("redial_ids") else [None] * len(items)
    if len(movies) != len(items):
        raise record.error("redial_ids", f"has {len(movies)} entries, items has {len(items)}")
    finder = SpanFinder(text)
    mentions = []
    for item, movie in zip(items, movies, strict=True):
        title = titles.get(movie or "", "")
        # A title that could not be mapped is searched too, so that the next one does not take its place.
        span = finder.title((html.unescape(title), without_year(html.unescape(title)))) if title else finder.quoted()
        watch.mention(mapped=item is not None)
        if item is not None:
            sentiment = sentiments.get(movie or "") or sentiments.get(_item_key(item), "mentioned")
            mentions.append(Mention(item, sentiment, span))
    return Turn(record.choice("role", ROLES), text, tuple(mentions))


def _label_titles(labels: list[Record]) -> dict[str, str]:
    return {
        label.name("redial_id"): label.text("title").strip()
        for label in labels
        if label.has("redial_id") and label.has("title")
    }


def _sentiments(labels: list[Record]) -> dict[str, Sentiment]:
    """Movie id and item key -> sentiment."""
    found: dict[str, Sentiment] = {}
    for label in labels:
        answers = [label.record(who) for who in ("seeker", "recommender") if label.has(who)]
        answer = next((a for a in answers if a.has("liked")), None)
        if answer is None:
            continue
        code = answer.whole("liked")
        if code not in SENTIMENT:
            raise answer.error("liked", f"is {code!r}; ReDial's codes are 0 no, 1 yes, 2 did not say")
        if label.has("redial_id"):
            found[label.name("redial_id")] = SENTIMENT[code]
        item = label.item("item") if label.has("item") else None
        if item is not None:
            found[_item_key(item)] = SENTIMENT[code]
    return found


def _item_key(item: ItemId) -> str:
    return f"item {item}"  # never equal to a movie id, which is a number
