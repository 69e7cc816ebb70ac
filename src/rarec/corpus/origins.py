"""How many items each source gave something to, as the evidence of a corpus says."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rarec.errors import StoreError
from rarec.progress import OnProgress

_TELL_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class Origins:
    """Attributes:
    items: source -> items that have a record of it.
    fields: field -> source -> items that have the field of it.
    """

    items: Mapping[str, int]
    fields: Mapping[str, Mapping[str, int]]


def origins_of(evidence: Path, tell: OnProgress) -> Origins:
    """Read the evidence once; two bytes a record are kept in memory.

    Raises:
        StoreError: the file is damaged or of another version.
    """
    try:
        with closing(sqlite3.connect(f"{evidence.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return _origins(connection, tell)
    except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
        raise StoreError(f"cannot read the evidence {str(evidence)!r}: {error}; build the corpus again") from error


def _origins(connection: sqlite3.Connection, tell: OnProgress) -> Origins:
    sources: dict[str, int] = {}
    of_record = array("H")
    for number, source in connection.execute("SELECT number, source FROM records ORDER BY number"):
        while len(of_record) < number:
            of_record.append(0xFFFF)
        of_record.append(sources.setdefault(source, len(sources)))
    names = list(sources)
    fields: dict[str, Counter[str]] = {}
    total = int(connection.execute("SELECT count(*) FROM items").fetchone()[0])
    for done, (origin,) in enumerate(connection.execute("SELECT origin FROM items"), start=1):
        for field, numbers in json.loads(origin).items():
            fields.setdefault(field, Counter()).update({names[of_record[number]] for number in numbers})
        if done % _TELL_EVERY == 0 or done == total:
            tell("Read the evidence", done, total, "")
    counted = connection.execute("SELECT source, count(DISTINCT item) FROM records GROUP BY source ORDER BY 2 DESC, 1")
    return Origins(dict(counted), {field: dict(counts.most_common()) for field, counts in fields.items()})
