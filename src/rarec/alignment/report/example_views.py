"""Examples as the page shows them: the conversation, and what was served before and after, side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from rarec.alignment.example_choice import Chosen
from rarec.alignment.figures import JUDGED
from rarec.alignment.report_turns import ReportTurn, ReportTurns
from rarec.alignment.turn_results import Served, TurnResult
from rarec.evaluate.gold import GoldItem
from rarec.pages.wording import DASH, MINUS, number, shortened, signed
from rarec.types import ItemId

_MESSAGES, _TEXT, _TITLE, _LINES = 6, 600, 100, 10
_MARKS = {"+": "not offered before", MINUS: "not offered after"}
_VERDICTS = ("refused", "liked", "clicked")
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
        true: it is among the turn's truth.
        said: what it is to the turn, e.g. ``truth`` or ``refused``; empty for most.
        mark: ``+`` or ``−`` where the other side did not offer it, else empty.
        skipped: other items stand between the line above and this one.
    """

    rank: int
    own: int
    title: str
    true: bool
    said: str
    mark: str
    skipped: bool


@dataclass(frozen=True, slots=True)
class Side:
    """Before or after.

    Attributes:
        figures: name and value of each.
        silent: the judge gave no answer, and the order is the retriever's.
        lines: the first ten, and behind them true items and those that people were shown.
        rest: how many items were offered beyond the lines.
        marked: what a line's mark means.
    """

    name: str
    figures: Sequence[tuple[str, str]]
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


def example_groups(found: Chosen, figure: str, report: ReportTurns) -> list[ExampleGroup]:
    """The largest gains of a figure, the largest losses, and those that were drawn."""
    turns = {turn.gold.id: turn for turn in report.turns}

    def views(results: Sequence[TurnResult]) -> list[ExampleView]:
        return [_view(result, figure, turns[result.turn], report.items) for result in results]

    return [
        ExampleGroup("Largest gains", "Extremes: no turn became better by more.", views(found.gains)),
        ExampleGroup("Largest losses", "Extremes: no turn became worse by more.", views(found.losses)),
        ExampleGroup("Drawn", "Drawn by a hash of the turn's id, whatever became of it.", views(found.drawn)),
    ]


def _view(result: TurnResult, figure: str, turn: ReportTurn, items: Mapping[ItemId, GoldItem]) -> ExampleView:
    said = turn.conversation.turns
    shown = [Said(one.role, _SPEAKERS[one.role], shortened(one.text, _TEXT)) for one in said[-_MESSAGES:]]
    gain = result.gain(figure)
    return ExampleView(
        turn=result.turn,
        gain=DASH if isnan(gain) else signed(gain),
        better=(gain > 0) - (gain < 0),
        said=shown,
        earlier=len(said) - len(shown),
        truth=[_title(items[item]) for item in result.truth],
        sides=[
            _side("Before", result, result.before, items, other=result.after.offered, mark=MINUS),
            _side("After", result, result.after, items, other=result.before.offered, mark="+"),
        ],
    )


def _side(
    name: str,
    result: TurnResult,
    served: Served,
    items: Mapping[ItemId, GoldItem],
    *,
    other: Collection[ItemId],
    mark: str,
) -> Side:
    own = {**{item: place for place, item in enumerate(served.offered, start=1)}, **served.places}
    behind = sorted((item for item in served.places if item not in served.offered), key=lambda item: own[item])
    said = _said(result)
    lines: list[Line] = []
    for rank, item in [*enumerate(served.served, start=1), *((own[item], item) for item in behind)]:
        if rank <= _LINES or item in said:
            skipped = bool(lines) and lines[-1].rank < rank - 1
            new = mark if item in served.offered and item not in other else ""
            lines.append(
                Line(rank, own[item], _title(items[item]), item in result.truth, said.get(item, ""), new, skipped)
            )
    rest = len(served.offered) - sum(line.rank <= len(served.offered) for line in lines)
    figures = [(number(value), figure) for figure, value in served.figures.items()]
    return Side(name, figures, JUDGED in served.figures and not served.ranking, lines, rest, _MARKS[mark])


def _said(result: TurnResult) -> dict[ItemId, str]:
    """Item -> what it is to the turn: its truth, or what people did with it; those of several sets by the strongest."""
    if not result.sets:
        return dict.fromkeys(result.truth, "truth")
    said = {item: "shown" for one in result.sets for item in one.shown}
    for verdict in reversed(_VERDICTS):
        said |= {item: verdict for one in result.sets for item in getattr(one, verdict)}
    return said


def _title(item: GoldItem) -> str:
    title = shortened(item.title, _TITLE)
    return title if item.year is None or str(item.year) in title else f"{title} ({item.year})"
