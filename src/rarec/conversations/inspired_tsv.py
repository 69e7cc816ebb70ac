"""INSPIRED's own tab-separated files -> conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from rarec.conversations.data_set import Watch
from rarec.conversations.inspired import placed_mentions
from rarec.conversations.lines import text_lines
from rarec.conversations.spans import without_year
from rarec.errors import InputError
from rarec.types import Conversation, ItemId, Role, Turn

COLUMNS = ("dialog_id", "speaker", "text", "movies")
_ROLES: Mapping[str, Role] = {"SEEKER": "user", "RECOMMENDER": "assistant"}
_QUOTE = "QUOTATION_MARK"  # how the files write a double quote


def read_inspired_tsv(
    path: str | Path, *, item_of: Callable[[str], ItemId | None], watch: Watch | None = None
) -> Iterator[Conversation]:
    """The dialogues of train.tsv, dev.tsv or test.tsv in order; each row is a turn of its own.

    Columns ``dialog_id, speaker, text, movies`` are read; `movies` holds titles with years, separated by
    semicolons. The others (strategies, genres, people, ...) are ignored. Fields are never quoted.

    Args:
        item_of: "Title (year)" -> item, None if it is none.
        watch: counts annotated mentions and tells how far it is.
    Raises:
        InputError: there is no such file, a column is missing, a row is wrong (its line is named), or the rows of
            a dialogue do not stand together.
    """
    path, watch = Path(path), watch or Watch()
    seen: set[str] = set()
    for dialogue, rows in groupby(_rows(path, watch), key=lambda row: row["dialog_id"]):
        if dialogue in seen:
            raise InputError(
                f"{str(path)!r} has rows of the dialogue {dialogue!r} in two places; give each dialogue its own id, "
                "and keep its rows together"
            )
        seen.add(dialogue)
        yield Conversation(tuple(_turn(row, item_of, watch) for row in rows), id=f"inspired_{dialogue}")


def movie_titles(path: str | Path) -> Iterator[str]:
    """Every annotated "Title (year)" of a file, repeated ones included."""
    for row in _rows(Path(path), Watch()):
        yield from _titles(row)


def _turn(row: Mapping[str, str], item_of: Callable[[str], ItemId | None], watch: Watch) -> Turn:
    text = row["text"].replace(_QUOTE, '"')
    named = [(item_of(title), without_year(title)) for title in _titles(row)]
    for item, _ in named:
        watch.mention(mapped=item is not None)
    return Turn(_ROLES[row["speaker"].strip().upper()], text, placed_mentions(text, named))


def _titles(row: Mapping[str, str]) -> list[str]:
    return [title for part in row["movies"].replace(_QUOTE, '"').split(";") if (title := part.strip())]


def _rows(path: Path, watch: Watch) -> Iterator[dict[str, str]]:
    lines = text_lines(path, progress=watch.progress)
    _, header = next(lines, (1, ""))
    names = header.split("\t")
    if missing := [name for name in COLUMNS if name not in names]:
        raise InputError(f"{str(path)!r} has no column {missing[0]!r}, only {names[:20]!r}; is it a file of INSPIRED?")
    places = {name: names.index(name) for name in COLUMNS}
    for number, line in lines:
        if not line.strip():
            continue
        values = line.split("\t")
        where = f"{str(path)!r} line {number}"
        if len(values) <= max(places.values()):
            raise InputError(f"{where} has {len(values)} fields, the header {len(names)}; get the file again")
        row = {name: values[place] for name, place in places.items()}
        if row["speaker"].strip().upper() not in _ROLES:
            raise InputError(f"{where}, field 'speaker': {row['speaker']!r} is not one of {', '.join(_ROLES)}")
        if not row["dialog_id"].strip():
            raise InputError(f"{where}, field 'dialog_id' is empty; correct or remove this line")
        yield row
