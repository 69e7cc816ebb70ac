"""Alignment of a bundle from files: joins a data set, a retriever and a judge, and runs the loop."""

from rarec.alignment.recipe import AlignRecipe, load_align_recipe
from rarec.alignment.run import AlignResult, Resources, align

__all__ = ["AlignRecipe", "AlignResult", "Resources", "align", "load_align_recipe"]
