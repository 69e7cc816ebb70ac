"""Model cards: the text that goes with aligned weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rarec.alignment.figures import figures_named
from rarec.alignment.material import Material
from rarec.alignment.people import People
from rarec.alignment.recipe import AlignRecipe, RecordedConfig
from rarec.alignment.verdicts import chosen_weights


def card(recipe: AlignRecipe, figures: Mapping[str, Any], material: Material, people: People | None = None) -> str:
    """The text; `figures` are the seed's part of figures.json."""
    if people is not None:
        return _people_card(recipe, figures, material, people)
    learner = recipe.learner.name
    return f"""# Model card

A retriever for the embedder `{material.embedder.name}`, aligned with `{learner}` to the judge `{_judge_name(recipe)}`,
beside the unchanged ranker of the bundle that it was started from.

- **Started from**: the bundle in `{material.bundle.name}`; see its card for what that was trained on.
- **Learned from**: {len(material.learn)} turns of `{recipe.data.name}` {recipe.data.training},
  {figures["calls"]} calls of the judge.
- **Kept**: {chosen_weights(figures)}.
- **Chosen on**: NDCG@10 after the judge on turns of {recipe.data.tuning}.
- **Not for**: other domains or languages without training; decisions about people.

On {figures["on"]} (NDCG@10 of each turn, new items, catalogue of the data set; the interval of the gain is a paired
bootstrap by dialogue at 95 %):

| figure | before | after | gain |
| --- | --- | --- | --- |
{_rows(figures)}
"""


def _people_card(recipe: AlignRecipe, figures: Mapping[str, Any], material: Material, people: People) -> str:
    """The text that goes with weights that learned from people."""
    left_out, taken_out = (
        "; ".join(f"{count:,} {why}" for why, count in found.items()) or "none"
        for found in (people.left_out, people.taken_out)
    )
    return f"""# Model card

A retriever for the embedder `{material.embedder.name}`, aligned with `{recipe.learner.name}` to what people did with
what they were shown, beside the unchanged ranker of the bundle that it was started from.

- **Started from**: the bundle in `{material.bundle.name}`; see its card for what that was trained on.
- **Learned from**: {people.shown:,} shown sets of {len(material.learn):,} turns. No model was asked.
  Events left out: {left_out}. Items taken out of events: {taken_out}.
- **Kept**: {chosen_weights(figures)}.
- **Chosen on**: the mean of NDCG@10 and of the agreement with the feedback, on held-out conversations.
- **Off-policy**: another policy chose what was shown. What it never showed, nobody could like: the figures favour it.
- **Not for**: other domains or languages without training; decisions about people.

On {figures["on"]} (`alone`: NDCG@10 of the retriever against the liked items, or the clicked ones where nothing was
liked, new items, catalogue of the data set; `agreement`: share of the preferences among the shown items that its order
keeps, .5 is chance; `refused in first 10`: share of the refused items; the interval of the gain is a paired bootstrap
by conversation at 95 %):

| figure | before | after | gain |
| --- | --- | --- | --- |
{_rows(figures)}
"""


def _judge_name(recipe: AlignRecipe) -> str:
    judge = recipe.judge
    if isinstance(judge, RecordedConfig):
        return f"recorded lists of {judge.lists.name}"
    return str(getattr(judge, "preset", None) or getattr(judge, "model", None) or "local-ranker")


def _rows(found: Mapping[str, Any]) -> str:
    """Of a Markdown table with the columns figure, before, after, gain."""
    return "\n".join(
        f"| {figure.name} | {part['before']:.4f} | {part['after']:.4f} "
        f"| {part['gain']:+.4f} [{part['low']:+.4f}, {part['high']:+.4f}] |"
        for figure in figures_named(found)
        for part in (found[figure.name],)
    )
