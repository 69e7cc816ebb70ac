"""Examples as the page shows them: the conversation, and what was served before and after, side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rarec.alignment.example_choice import Chosen
from rarec.alignment.report_turns import ReportTurn, ReportTurns
from rarec.alignment.turn_results import Served, TurnResult
from rarec.evaluate.gold import GoldItem
from rarec.pages.wording import MINUS, number, shortened, signed
from rarec.types import ItemId

_MESSAGES, _TEXT, _TITLE, _LINES = 6, 600, 100, 10
_MARKS = {"+": "not offered before", MINUS: "not offered after"}
_SPEAKERS = {"user": "Seeker", "assistant": "Recommender"}


@dataclass(frozen=True, slots=True)
class Said:
    """One message; ``role`` is user or assistant."""

    role: str
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One item that was served.

    Attributes:
        rank: as it was served; `own`: in the retriever's order.
        true: it is what the turn recommended.
        mark: ``+`` or ``−`` where the other side did not offer it, else empty.
        skipped: other items stand between the line above and this one.
    """

    rank: int
    own: int
    title: str
    true: bool
    mark: str
    skipped: bool


@dataclass(frozen=True, slots=True)
class Side:
    """Before or after.

    Attributes:
        silent: the judge gave no answer, and the order is the retriever's.
        lines: the first ten, and true items behind them.
        rest: how many items were offered beyond the lines.
        marked: what a line's mark means.
    """

    name: str
    judged: str
    alone: str
    silent: bool
    lines: Sequence[Line]
    rest: int
    marked: str


@dataclass(frozen=True, slots=True)
class ExampleView:
    """One turn. `earlier`: messages before those that are shown; `better`: the sign of the gain, -1, 0 or 1."""

    turn: str
    gain: str
    better: int
    said: Sequence[Said]
    earlier: int
    truth: Sequence[str]
    sides: Sequence[Side]


@dataclass(frozen=True, slots=True)
class ExampleGroup:
    """Examples that were chosen in one way; there may be none."""

    name: str
    how: str
    examples: Sequence[ExampleView]


def example_groups(found: Chosen, report: ReportTurns) -> list[ExampleGroup]:
    """The largest gains, the largest losses, and those that were drawn."""
    turns = {turn.gold.id: turn for turn in report.turns}

    def views(results: Sequence[TurnResult]) -> list[ExampleView]:
        return [_view(result, turns[result.turn], report.items) for result in results]

    return [
        ExampleGroup("Largest gains", "Extremes: no turn became better by more.", views(found.gains)),
        ExampleGroup("Largest losses", "Extremes: no turn became worse by more.", views(found.losses)),
        ExampleGroup("Drawn", "Drawn by a hash of the turn's id, whatever became of it.", views(found.drawn)),
    ]


def _view(result: TurnResult, turn: ReportTurn, items: Mapping[ItemId, GoldItem]) -> ExampleView:
    said = turn.conversation.turns
    shown = [Said(one.role, _SPEAKERS[one.role], shortened(one.text, _TEXT)) for one in said[-_MESSAGES:]]
    before, after = result.before, result.after
    return ExampleView(
        turn=result.turn,
        gain=signed(result.gain),
        better=(result.gain > 0) - (result.gain < 0),
        said=shown,
        earlier=len(said) - len(shown),
        truth=[_title(items[item]) for item in result.truth],
        sides=[
            _side("Before", before, result.truth, items, other=after.offered, mark=MINUS),
            _side("After", after, result.truth, items, other=before.offered, mark="+"),
        ],
    )


def _side(
    name: str,
    served: Served,
    truth: Collection[ItemId],
    items: Mapping[ItemId, GoldItem],
    *,
    other: Collection[ItemId],
    mark: str,
) -> Side:
    own = {item: place for place, item in enumerate(served.offered, start=1)}
    lines: list[Line] = []
    for rank, item in enumerate(served.served, start=1):
        if rank <= _LINES or item in truth:
            skipped = bool(lines) and lines[-1].rank < rank - 1
            said = "" if item in other else mark
            lines.append(Line(rank, own[item], _title(items[item]), item in truth, said, skipped))
    rest = len(served.offered) - len(lines)
    return Side(name, number(served.judged), number(served.alone), not served.ranking, lines, rest, _MARKS[mark])


def _title(item: GoldItem) -> str:
    title = shortened(item.title, _TITLE)
    return title if item.year is None or str(item.year) in title else f"{title} ({item.year})"
