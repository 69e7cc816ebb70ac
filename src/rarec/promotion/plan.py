"""What a decision would ask and cost, before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass

from rarec.alignment.plan import spend_of_a_call, unpriced
from rarec.llm.budget import Spend
from rarec.promotion.examine import Examination
from rarec.promotion.models import Bundle


@dataclass(frozen=True, slots=True)
class PromotionPlan:
    """Of one decision.

    Attributes:
        turns, dialogues: held-out ones, that decide.
        live, new: calls of the judge about each bundle that no ledger has yet; 0 where none is asked.
        spent: calls that the ledgers have; they count against a budget.
        tokens: about, at four bytes a token; `tokens_most` is what a budget must set aside for the longest call seen,
            for all calls.
        usd, usd_most: None without prices; 0 for a judge in this process.
    """

    turns: int
    dialogues: int
    items: int
    live: int
    new: int
    spent: int
    tokens: int
    tokens_most: int
    usd: float | None
    usd_most: float | None

    @property
    def calls(self) -> int:
        """In all."""
        return self.live + self.new


def plan_of(examination: Examination, live: Bundle, new: Bundle) -> PromotionPlan:
    """Count calls, and estimate tokens from the prompts of a few turns.

    Raises:
        InputError: the catalogue has fewer items than a set.
        StoreError: a ledger cannot be read.
    """
    turns, recipe, material = examination.turns, examination.recipe, examination.material
    of_live, of_new = (examination.unanswered(bundle) for bundle in (live, new))
    calls = of_live[0] + of_new[0]
    about, most = spend_of_a_call(recipe, material, turns) if calls else (Spend(), Spend())
    priced = not unpriced(recipe)
    return PromotionPlan(
        turns=len(turns),
        dialogues=len({turn.turn.dialogue for turn in turns}),
        items=len(material.stock),
        live=of_live[0],
        new=of_new[0],
        spent=(of_live[1] + of_new[1]).calls,
        tokens=calls * about.tokens,
        tokens_most=calls * most.tokens,
        usd=calls * about.usd if priced else None,
        usd_most=calls * most.usd if priced else None,
    )
