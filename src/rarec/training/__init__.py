"""From data files to a bundle: recipes of training, what is learned from, the stages and the card."""

from rarec.training.card import card
from rarec.training.recipe import OwnData, TrainingRecipe, load_recipe
from rarec.training.run import train_bundle

__all__ = ["OwnData", "TrainingRecipe", "card", "load_recipe", "train_bundle"]
