"""Data sets of conversations and interactions, one reader each, and the test examples made of them."""

from rarec.conversations.data_sets import DATA_SETS, data_set_catalogue, data_set_items, read_split
from rarec.conversations.examples import Example, Links, examples_from_conversations, read_examples
from rarec.conversations.inspired import read_inspired
from rarec.conversations.movielens import Interactions, read_ml1m
from rarec.conversations.redial import read_redial, redial_titles

__all__ = [
    "DATA_SETS",
    "Example",
    "Interactions",
    "Links",
    "data_set_catalogue",
    "data_set_items",
    "examples_from_conversations",
    "read_examples",
    "read_inspired",
    "read_ml1m",
    "read_redial",
    "read_split",
    "redial_titles",
]
