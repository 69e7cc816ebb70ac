"""The figures that the report turns of a run can have, after a judge or by what people did.

A run has those that its turns have, in the order of `FIGURES`; the first of them leads: slices and examples go by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

JUDGED, AGREEMENT, ALONE = "after the judge", "agreement", "alone"
HELD, REFUSED = "truth in candidates", "refused in first 10"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a turn, from 0 to 1.

    Attributes:
        name: in the files of a run.
        title: as a measure, in sentences and tables.
        what: how it is measured, a sentence; ``{n}`` stands for the size of candidate sets.
        lower: a lower one is better.
    """

    name: str
    title: str
    what: str
    lower: bool = False

    @property
    def head(self) -> str:
        """The title, and which way is better where it is not up."""
        return f"{self.title} (lower is better)" if self.lower else self.title


FIGURES = MappingProxyType(
    {
        figure.name: figure
        for figure in (
            Figure(
                JUDGED,
                "NDCG@10 after the judge",
                "After the judge: the retriever's first {n}, shown in random order, as the judge ranks them (where it "
                "gave no answer, in the retriever's order).",
            ),
            Figure(
                AGREEMENT,
                "agreement",
                "Agreement: the share of people's preferences among the items that they were shown, weighted by how "
                "strong they are, that the retriever's order keeps; .5 is chance.",
            ),
            Figure(ALONE, "NDCG@10 alone", "Alone: in the retriever's order."),
            Figure(HELD, "truth in candidates", "Truth in candidates: the share of a turn's truth among these {n}."),
            Figure(
                REFUSED,
                "refused in first 10",
                "Refused in first 10: the share of the refused items among the retriever's first ten.",
                lower=True,
            ),
        )
    }
)
"""By name, in the order in which they are shown."""


def figures_named(names: Iterable[str]) -> tuple[Figure, ...]:
    """Those figures among other names, e.g. the keys of one seed's part of figures.json; there may be none."""
    known = frozenset(names)
    return tuple(figure for name, figure in FIGURES.items() if name in known)
