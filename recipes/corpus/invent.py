"""Invents the files that the recipes of this folder read: python recipes/corpus/invent.py FOLDER [--seed N] [--later]

Books in a CSV file and their loans in a TSV file, board games in JSONL, and a shop's products with semicolons. Nothing
in them is real. The same seed gives the same bytes; --later gives the next dump of the same seed: some are gone, some
are new, and some are described anew.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from rarec.files import write_text

COUNT = 150
LATER_GONE, LATER_NEW, LATER_CHANGED = 6, 9, 12
Row = dict[str, str]

PLACES = ("Harbour", "Orchard", "Lighthouse", "Quarry", "Viaduct", "Bakery", "Marsh", "Observatory", "Ferry", "Mill")
COLOURS = ("amber", "copper", "grey", "indigo", "ochre", "scarlet", "teal", "white")
FIRST = ("Ada", "Bram", "Cleo", "Davit", "Edda", "Femi", "Greta", "Hiro", "Ines", "Jonas", "Kaya", "Lior")
LAST = ("Almqvist", "Barreto", "Czerny", "Dlamini", "Eklund", "Farkas", "Groen", "Hasegawa", "Ibsen", "Jurado")

SHELVES = {
    "mystery": ("a theft that nobody reports", "the one witness will not speak", "every clue points home"),
    "romance": ("two letters cross in the post", "a summer job by the sea", "an old promise comes due"),
    "travel": ("a walk of forty days", "trains that run once a week", "the last road before winter"),
    "science": ("how tides remember the moon", "what mould teaches about time", "numbers in a beehive"),
    "cooking": ("bread for people without patience", "a hundred soups", "what to do with too many plums"),
}
MECHANICS = {
    "auction": "The highest bid takes the lot, and an empty purse waits",
    "tile laying": "Tiles grow into a landscape that nobody planned",
    "cooperation": "All win together or lose together",
    "bluffing": "A lie that nobody calls is as good as the truth",
    "dice": "Handfuls of dice decide, with a few ways to bend luck",
    "deck building": "Better cards are bought and shuffled into one's own deck",
}
GOODS = {
    "kettle": ("kitchen", ("steel", "enamel"), ("camping", "tea"), "boils a litre in four minutes"),
    "lantern": ("lighting", ("brass", "glass"), ("camping", "garden"), "burns through the night on one charge"),
    "rucksack": ("bags", ("canvas", "wool"), ("hiking", "school"), "keeps what is in it dry"),
    "blanket": ("bedding", ("wool", "linen"), ("winter", "picnics"), "is woven in one piece"),
    "teapot": ("kitchen", ("clay", "glass"), ("tea", "gifts"), "pours without a drop beside the cup"),
    "notebook": ("paper", ("linen", "cork"), ("school", "travel"), "lies flat wherever it is opened"),
}


def books(random: Random) -> Sequence[Row]:
    """One row a book."""
    rows = []
    for number in range(COUNT + LATER_NEW):
        shelf = random.choice(list(SHELVES))
        name = f"The {random.choice(COLOURS).title()} {random.choice(PLACES)} {number + 1}"
        plot = f"{random.choice(SHELVES[shelf])}; {random.choice(SHELVES[shelf])}"
        rows.append({
            "isbn": f"9790000{number:06d}", "name": name, "author": _people(random), "shelf": shelf,
            "published": f"{random.randint(1950, 2024)}-0{random.randint(1, 9)}-01", "blurb": f"A book of {plot}.",
            "about": random.choice(PLACES).lower(), "readers": random.choice(("adults", "children", "everybody")),
        })  # fmt: skip
    return rows


def games(random: Random) -> Sequence[Row]:
    """One row a game; values of a list stand between bars."""
    rows = []
    for number in range(COUNT + LATER_NEW):
        mechanics = random.sample(list(MECHANICS), random.randint(1, 2))
        place = random.choice(PLACES)
        rows.append({
            "game": f"g{number:04d}", "called": f"{random.choice(COLOURS).title()} {place} {number + 1}",
            "year": str(random.randint(1980, 2024)), "designers": _people(random), "themes": place.lower(),
            "rules": ". ".join(MECHANICS[one] for one in mechanics) + ".", "mechanics": "|".join(mechanics),
            "players": random.choice(("2", "2-4", "3-6")), "plays": str(int(random.paretovariate(1.1) * 10)),
        })  # fmt: skip
    return rows


def products(random: Random) -> Sequence[Row]:
    """One row a product; values of a list stand between commas."""
    rows = []
    for number in range(COUNT + LATER_NEW):
        what = random.choice(list(GOODS))
        category, materials, uses, praise = GOODS[what]
        colours = random.sample(COLOURS, random.randint(1, 3))
        rows.append({
            "sku": f"P-{number:05d}", "product": f"{random.choice(LAST)} {what} {number + 1}",
            "brand": random.choice(LAST), "category": category, "material": random.choice(materials),
            "colours": ", ".join(colours), "for": ", ".join(uses), "description": f"A {what} that {praise}.",
            "sold": str(int(random.paretovariate(1.1) * 5)),
        })  # fmt: skip
    return rows


def loans(seed: int, found: Sequence[Row]) -> Sequence[Row]:
    """How often each book was lent, in the library's own numbers."""
    return [
        {
            "number": f"L{row['isbn'][-6:]}", "isbn": row["isbn"], "title": row["name"].upper(),
            "lent": str(Random(f"{seed} {row['isbn']}").randint(0, 900)),
        }
        for row in found
    ]  # fmt: skip


def _people(random: Random) -> str:
    names = {f"{random.choice(FIRST)} {random.choice(LAST)}" for _ in range(random.randint(1, 2))}
    return "|".join(sorted(names))


def _dump(rows: Sequence[Row], text: str, *, later: bool) -> Sequence[Row]:
    """The first dump, or the next one; the first few rows stand for what changes."""
    if not later:
        return rows[:COUNT]
    changed = [{**row, text: f"{row[text]} New edition."} for row in rows[LATER_GONE : LATER_GONE + LATER_CHANGED]]
    return [*changed, *rows[LATER_GONE + LATER_CHANGED :]]


def _table(rows: Sequence[Row], delimiter: str) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def invent(folder: Path, *, seed: int = 0, later: bool = False) -> list[Path]:
    """Write all files; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, tuple[Callable[[Random], Sequence[Row]], str]] = {
        "books": (books, "blurb"), "games": (games, "rules"), "products": (products, "description"),
    }  # fmt: skip
    rows = {name: _dump(make(Random(f"{seed} {name}")), text, later=later) for name, (make, text) in made.items()}
    files = {
        "books.csv": _table(rows["books"], ","),
        "loans.tsv": _table(loans(seed, rows["books"]), "\t"),
        "games.jsonl": "".join(json.dumps(row) + "\n" for row in rows["games"]),
        "products.csv": _table(rows["products"], ";"),
    }
    for name, text in files.items():
        write_text(folder / name, text)
    return [folder / name for name in files]


def main() -> None:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--later", action="store_true", help="the next dump")
    given = parser.parse_args()
    for path in invent(given.folder, seed=given.seed, later=given.later):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
