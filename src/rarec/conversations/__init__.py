"""Data sets of conversations and interactions, one reader each, and the test examples made of them."""

from rarec.conversations.data_set import DataSet, DataSetInfo, Watch
from rarec.conversations.data_sets import DATA_SETS, DIALOGUE_SETS, data_sets_in, open_data_set, read_split
from rarec.conversations.examples import (
    Example,
    Links,
    examples_from_conversations,
    linked_beyond,
    read_examples,
    within_catalogue,
)
from rarec.conversations.inspired import read_inspired
from rarec.conversations.interactions import read_interactions
from rarec.conversations.movielens import Interactions, read_ml1m
from rarec.conversations.own_format import JsonlSet, read_jsonl
from rarec.conversations.own_writing import write_jsonl
from rarec.conversations.redial import read_redial, redial_titles
from rarec.conversations.serving import as_served
from rarec.conversations.splits import held_back
from rarec.conversations.vocabulary import data_set_catalogue, data_set_items

__all__ = [
    "DATA_SETS",
    "DIALOGUE_SETS",
    "DataSet",
    "DataSetInfo",
    "Example",
    "Interactions",
    "JsonlSet",
    "Links",
    "Watch",
    "as_served",
    "data_set_catalogue",
    "data_set_items",
    "data_sets_in",
    "examples_from_conversations",
    "held_back",
    "linked_beyond",
    "open_data_set",
    "read_examples",
    "read_inspired",
    "read_interactions",
    "read_jsonl",
    "read_ml1m",
    "read_redial",
    "read_split",
    "redial_titles",
    "within_catalogue",
    "write_jsonl",
]
