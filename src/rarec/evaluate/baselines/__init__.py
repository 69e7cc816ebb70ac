"""Systems that are not ours, for the rows beside ours: one a file."""

from rarec.evaluate.baselines.bm25 import BM25
from rarec.evaluate.baselines.co_occurrence import CoOccurrence
from rarec.evaluate.baselines.ease import EASE
from rarec.evaluate.baselines.embedding_similarity import EmbeddingSimilarity, query_text
from rarec.evaluate.baselines.item_knn import ItemKNN
from rarec.evaluate.baselines.popularity import Popularity
from rarec.evaluate.baselines.random import Random
from rarec.evaluate.baselines.repeat_context import RepeatContext
from rarec.evaluate.baselines.sasrec import SASRec

__all__ = [
    "BM25",
    "EASE",
    "CoOccurrence",
    "EmbeddingSimilarity",
    "ItemKNN",
    "Popularity",
    "Random",
    "RepeatContext",
    "SASRec",
    "query_text",
]
