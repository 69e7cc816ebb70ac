"""The figure of each held-out turn under one bundle: what it would serve, in the order of the judge."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from rarec.align.ledger import Ledger
from rarec.align.measuring import Examiner, measure_alone
from rarec.align.rollout import RolloutProgress
from rarec.align.scorer import Scorer, reproducible
from rarec.align.turns import TokenisedTurn
from rarec.alignment.material import Material, judge_of
from rarec.alignment.plan import counts_tokens, prices_of
from rarec.alignment.recipe import AlignRecipe, EndpointJudge, identity
from rarec.llm.budget import Budget, Spend
from rarec.llm.cached import AnswerFile
from rarec.llm.metered import Metered
from rarec.llm.protocol import LLM
from rarec.progress import OnProgress, stage
from rarec.promotion.models import Bundle
from rarec.retriever.bundle import load_retriever

_OCCASION = "held-out"
"""One name for all bundles, so that a turn's candidates are shuffled by the same draw."""


@dataclass(frozen=True, slots=True, eq=False)
class Examination:
    """Asks about the same turns under one bundle after the other.

    Answers are kept in a ledger for each bundle: an interrupted decision goes on, and the live bundle is asked about
    once for all candidates that come up against it.

    Attributes:
        alone: no judge is asked; the retriever's own order counts.
        judge: instead of the one that the recipe names; None takes that, and of a local one each bundle's own ranker.
        folder: of ledgers and answers.
    """

    recipe: AlignRecipe
    material: Material
    turns: tuple[TokenisedTurn, ...]
    alone: bool
    judge: LLM | None
    folder: Path
    budget: Budget
    tell: OnProgress

    def figures(self, bundle: Bundle, name: str) -> tuple[float, ...]:
        """NDCG@10 of each turn.

        Args:
            name: of the bundle, for the progress bar.
        Raises:
            RarecError: as `rarec.align.measuring.Examiner.measure` and `judge_of`.
        """
        model = load_retriever(bundle.folder, embedder=self.material.embedder.name)
        scorer = Scorer(model, self.material.stock, self.material.data.messages)
        with reproducible():
            if self.alone:
                with stage(self.tell, f"measure {name}"):
                    return measure_alone(scorer, self.turns)
            ledger = Ledger(self._path(bundle), recipe=self._identity(bundle))
            examiner = Examiner(replace(self.recipe.rollouts(0), groups=1), ledger)

            def told(at: RolloutProgress) -> None:
                self.tell(f"ask about {name}", at.done, at.total, f"{at.calls:,} calls, {at.spend.usd:.4f} USD")

            found = examiner.measure(scorer, self.turns, self._llm(bundle), at=0, name=_OCCASION, progress=told)
            return found.judged

    def unanswered(self, bundle: Bundle) -> tuple[int, Spend]:
        """About how many turns the judge must still be asked under a bundle, and what was spent on the others.

        Nothing is written.

        Raises:
            StoreError: the ledger cannot be read.
        """
        path = self._path(bundle)
        if self.alone or not path.exists():
            return (0 if self.alone else len(self.turns)), Spend()
        ledger = Ledger(path, recipe=self._identity(bundle))
        return len(self.turns) - len(ledger), ledger.spent

    def _path(self, bundle: Bundle) -> Path:
        return self.folder / f"ledger-{self._identity(bundle)[:16]}.jsonl"

    def _llm(self, bundle: Bundle) -> Metered:
        llm = self.judge or judge_of(self.recipe, replace(self.material, bundle=bundle.folder))
        kept = AnswerFile(self.folder / "answers.jsonl") if isinstance(self.recipe.judge, EndpointJudge) else None
        in_tokens = self.judge is not None or counts_tokens(self.recipe)
        return Metered(llm, answers=kept, budgets=[self.budget], prices=prices_of(self.recipe), in_tokens=in_tokens)

    def _identity(self, bundle: Bundle) -> str:
        """A hash of all that decides what is asked and answered."""
        deciding = self.recipe.deciding()
        asked = {name: deciding[name] for name in ("judge", "sets")} | {"layout": self.recipe.data.layout}
        if self.material.recorded is not None:
            asked["lists"] = self.material.recorded.sha256
        return identity(asked, turns_digest(self.material, self.turns), dict(bundle.digests))


def turns_digest(material: Material, turns: tuple[TokenisedTurn, ...]) -> str:
    """A hash of turns, items and embedder, by which two decisions are known to be on the same."""
    said = [
        [
            turn.turn.id,
            turn.turn.dialogue,
            list(turn.turn.truth),
            [[t.role, t.text, [[m.item, m.sentiment] for m in t.mentions or ()]] for t in turn.turn.conversation.turns],
        ]
        for turn in turns
    ]
    # Of items all that a judge may read; a layout need not write every attribute into the text that is embedded.
    items = [
        [i.id, i.title, i.text, i.year, i.popularity, {name: list(values) for name, values in i.attributes.items()}]
        for i in material.stock.items
    ]
    texts = hashlib.sha256(material.texts.tobytes()).hexdigest()
    return identity(said, items, texts, material.embedder.name)
