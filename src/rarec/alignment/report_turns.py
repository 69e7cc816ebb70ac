"""The report turns of a run and the items that its figures and examples speak of; all seeds share them.

With them a run's folder can be read without its data set. The conversations are those of the ledger's prompts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rarec.align.turns import TokenisedTurn
from rarec.alignment.material import Material
from rarec.alignment.records import AGAIN, read_records, write_records
from rarec.alignment.turn_results import TurnResult
from rarec.errors import StoreError
from rarec.evaluate.gold import GoldExample, GoldItem
from rarec.types import Conversation, ItemId, Role, Turn

REPORT_TURNS = "report_turns.jsonl"


@dataclass(frozen=True, slots=True)
class ReportTurn:
    """One turn on which figures are measured.

    Attributes:
        gold: as the evaluation knows it; its targets are the truth, all new; none where people only refused.
        conversation: what was said before, without its mentions.
    """

    gold: GoldExample
    conversation: Conversation


@dataclass(frozen=True, slots=True, eq=False)
class ReportTurns:
    """The turns in their order, and the items by id."""

    turns: tuple[ReportTurn, ...]
    items: Mapping[ItemId, GoldItem]


def report_turns(
    material: Material, turns: Iterable[TokenisedTurn], seeds: Iterable[Iterable[TurnResult]]
) -> ReportTurns:
    """The turns, and what is known of their true items and of all that was offered or shown at them."""
    kept = tuple(map(_report_turn, turns))
    named = {item for results in seeds for result in results for item in named_items(result)}
    items = {
        item.id: GoldItem(item.title, item.year, material.mentioned.get(item.id, 0), in_data_set=True)
        for item in material.stock.items
        if item.id in named
    }
    return ReportTurns(kept, items)


def named_items(result: TurnResult) -> set[ItemId]:
    """The items that a result speaks of."""
    return {*result.truth, *(i for s in (result.before, result.after) for i in (*s.offered, *s.places))}


def _report_turn(turn: TokenisedTurn) -> ReportTurn:
    one = turn.turn
    bare = Conversation(tuple(Turn(said.role, said.text) for said in one.conversation.turns))
    gold = GoldExample(one.id, one.dialogue, "", one.truth, frozenset(), tuple(turn.mentioned), len(bare.turns))
    return ReportTurn(gold, bare)


def write_report_turns(folder: Path, found: ReportTurns) -> None:
    """Write ``report_turns.jsonl``. Raises StoreError if it cannot be written."""
    turns = (
        {
            "turn": one.gold.id,
            "dialogue": one.gold.dialogue,
            "truth": one.gold.targets,
            "mentioned": one.gold.seen,
            "messages": [[said.role, said.text] for said in one.conversation.turns],
        }
        for one in found.turns
    )
    items = (
        {"item": item, "title": facts.title, "year": facts.year, "popularity": facts.popularity}
        for item, facts in found.items.items()
    )
    write_records(folder / REPORT_TURNS, [*turns, *items])


def read_report_turns(folder: Path) -> ReportTurns:
    """What `write_report_turns` wrote. Raises StoreError if it is missing or damaged, or lacks a true item."""
    path = folder / REPORT_TURNS
    turns: list[ReportTurn] = []
    items: dict[ItemId, GoldItem] = {}
    for record in read_records(path, _parsed):
        if isinstance(record, ReportTurn):
            turns.append(record)
        else:
            items[record[0]] = record[1]
    require_items(path, items, (item for turn in turns for item in turn.gold.targets))
    return ReportTurns(tuple(turns), items)


def require_items(path: Path, items: Collection[ItemId], wanted: Iterable[ItemId]) -> None:
    """Raises StoreError if one is missing."""
    if lost := next((item for item in wanted if item not in items), None):
        raise StoreError(f"{str(path)!r} does not know the item {lost!r}; {AGAIN}")


def _parsed(record: Mapping[str, Any]) -> ReportTurn | tuple[ItemId, GoldItem]:
    if "item" in record:
        year = record["year"]
        facts = GoldItem(str(record["title"]), None if year is None else int(year), int(record["popularity"]), True)
        return ItemId(str(record["item"])), facts
    said = tuple(Turn(_role(role), str(text)) for role, text in record["messages"])
    truth, mentioned = (tuple(ItemId(str(item)) for item in record[name]) for name in ("truth", "mentioned"))
    gold = GoldExample(str(record["turn"]), str(record["dialogue"]), "", truth, frozenset(), mentioned, len(said))
    return ReportTurn(gold, Conversation(said))


def _role(name: Any) -> Role:
    if name not in get_args(Role):
        raise ValueError(f"a message is of {name!r}")
    role: Role = name
    return role
