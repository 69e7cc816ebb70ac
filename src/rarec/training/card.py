"""The text that goes with the weights: what they are, what they learned from, what they are not for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rarec.training.figures import MEASURES, Figures, notes, rows
from rarec.training.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True)
class Story:
    """What a card says of the data; lines after the first of a part are indented by two blanks.

    Attributes:
        learned_from: interactions and conversations.
        negatives: where they come from; a sentence.
        chosen_on: which validation conversations.
        purpose: what the weights are for; sentences.
    """

    learned_from: str
    negatives: str
    chosen_on: str
    purpose: str


FILMS = Story(
    learned_from="""MovieLens 1M (sequences of ratings; pretraining), the training conversations of ReDial (the public
  part described in the documentation; CC BY 4.0) and INSPIRED (fine-tuning, and the ranker)""",
    negatives="""Negatives come from
  a corpus of film descriptions.""",
    chosen_on="the validation conversations of ReDial and INSPIRED",
    purpose="""recommending films in English conversations; research and evaluation. MovieLens is licensed for research;
  train your own bundle for commercial use.""",
)


_INSIDE = """The weights contain no item ids,
  titles or dialogue text; beside them are counts of what came up together, items and words as digests, and
  embeddings of the texts of the items that are counted, so that new ones can inherit. Attributes and words of texts are
  read from the catalogue in use."""


def card(recipe: TrainingRecipe, figures: Figures, embedder: str, story: Story = FILMS) -> str:
    """The card of a bundle, in Markdown."""
    tables = "\n\n".join(_table(name, own) for name, own in figures.items())
    held = f", without the {recipe.held_back:.0%} of them that were held back for alignment" if recipe.held_back else ""
    return f"""# Model card

A retriever (LRURec over embedded item texts, width {recipe.retriever.width}, {recipe.retriever.blocks} blocks) and a
local ranker, for the embedder `{embedder}`.

- **Trained on**: {story.learned_from}{held}. {story.negatives} {_INSIDE}
- **Chosen on**: the mean of NDCG@10 on {story.chosen_on}.
- **For**: {story.purpose}
- **Not for**: other domains or languages without training; decisions about people.

New targets, the catalogue of the data set, mentioned items excluded; recall, NDCG@10 and how many targets (n).

{tables}
"""


def _table(name: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [("", *MEASURES), (":--", *("--:" for _ in MEASURES)), *rows(figures)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([f"**{name}**", table, *notes(figures)])
