"""What earlier commands of a run asked already, read from the ledgers of its seeds; nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rarec.align.batches import ASKED
from rarec.align.checkpoint import iterations_of
from rarec.align.ledger import Ledger
from rarec.align.loop import CHECKPOINT
from rarec.align.parts import Parts
from rarec.align.rollout import Key
from rarec.alignment.material import Material
from rarec.alignment.reading import seed_folder
from rarec.alignment.recipe import AlignRecipe
from rarec.errors import RarecError
from rarec.llm.budget import Spend

LEDGER = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Answered:
    """Of all seeds.

    Attributes:
        learning, validation, report: calls of the recipe that a ledger answers. Of a seed with iterations to go only
            the report before counts, since its best weights may become others.
        spent: by the ledgers, on anything.
        remarks: why the run would be refused as it stands.
    """

    learning: int = 0
    validation: int = 0
    report: int = 0
    spent: Spend = field(default_factory=Spend)
    remarks: tuple[str, ...] = ()

    @property
    def calls(self) -> int:
        """In all."""
        return self.learning + self.validation + self.report


def answered(recipe: AlignRecipe, material: Material, out: Path, named: Mapping[int, tuple[str, Parts]]) -> Answered:
    """What the folder of a run has; one that is not there has nothing.

    Args:
        named: seed -> what its ledger must be named by, as a hash and to read.
    """
    counts, spent, remarks = Counter[str](), Spend(), list[str]()
    for seed, (identity, parts) in named.items():
        folder = seed_folder(out, seed)
        path = folder / LEDGER
        if not path.exists() or not path.stat().st_size:  # opened, an empty one would get a header
            continue
        try:
            ledger = Ledger(path, recipe=identity, parts=parts)
            done = (iterations_of(folder / CHECKPOINT) or 0) >= recipe.loop.iterations
        except RarecError as error:
            remarks.append(f"The run would be refused: {error}.")
            continue
        spent += ledger.spent
        counts.update(_kinds(recipe, material, ledger.answered, done=done))
    return Answered(counts["learning"], counts["validation"], counts["report"], spent, tuple(remarks))


def _kinds(recipe: AlignRecipe, material: Material, keys: Iterable[Key], *, done: bool) -> Iterable[str]:
    """What each of the calls that the recipe still makes is for; others, e.g. of a longer run, have none."""
    loop = recipe.loop
    learn = {ASKED + turn.turn.id for turn in material.learn}
    validated = {f"valid/{turn.turn.id}" for turn in material.tune[: loop.judged_turns]}
    whens = ("before", "after") if done else ("before",)
    reported = {f"{when}/{turn.turn.id}" for turn in material.report[: recipe.data.report_turns] for when in whens}
    for at, turn, group in keys:
        if turn in learn:
            if at < loop.iterations and group < recipe.sets.groups:
                yield "learning"
        elif turn in validated:
            if at % loop.validate_every == 0 or at == loop.iterations:
                yield "validation"
        elif turn in reported:
            yield "report"
