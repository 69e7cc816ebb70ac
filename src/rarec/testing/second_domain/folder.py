"""The second domain as a folder in which everything can be tried: data, a log of interactions, and recipes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from rarec.conversations import Interactions
from rarec.errors import InputError
from rarec.files import write_text
from rarec.testing.second_domain.domain import SecondDomain

INTERACTIONS = "interactions.csv"
RECIPES = ("train.toml", "align.toml", "evaluate.toml")


def write_folder(domain: SecondDomain, folder: str | Path) -> list[Path]:
    """Write items, conversations, what the players of train have played, and recipes to train, align and evaluate.

    Args:
        folder: made if it is not there.
    Returns:
        the files, in order of their names.
    Raises:
        InputError: the folder has something in it.
        StoreError: it cannot be written.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{str(path)!r} exists and is not an empty folder; name another one")
    domain.write(path)
    write_text(path / INTERACTIONS, _log(domain.histories["train"]))
    for name in RECIPES:
        text = resources.files("rarec.testing.second_domain").joinpath("recipes", name).read_text(encoding="utf-8")
        write_text(path / name, text)
    return sorted(path.iterdir())


def _log(histories: Iterable[Interactions]) -> str:
    """One line an interaction; `time` counts what a player has played."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("user", "item", "time", "sentiment"))
    for history in histories:
        for time, (item, felt) in enumerate(zip(history.items, history.sentiments, strict=True)):
            writer.writerow((history.user, item, time, felt))
    return text.getvalue()
