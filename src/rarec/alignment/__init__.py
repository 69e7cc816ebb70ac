"""Alignment of a bundle from files: joins a data set, a retriever and a judge, and runs the loop."""

from rarec.alignment.material import Material, gather
from rarec.alignment.recipe import AlignRecipe, load_align_recipe
from rarec.alignment.run import AlignResult, Resources, align

__all__ = ["AlignRecipe", "AlignResult", "Material", "Resources", "align", "gather", "load_align_recipe"]
