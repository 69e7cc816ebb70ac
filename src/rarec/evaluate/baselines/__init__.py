"""Systems that are not ours, for the rows beside ours: one a file."""

from rarec.evaluate.baselines.co_occurrence import CoOccurrence
from rarec.evaluate.baselines.embedding_similarity import EmbeddingSimilarity, query_text
from rarec.evaluate.baselines.popularity import Popularity
from rarec.evaluate.baselines.random import Random
from rarec.evaluate.baselines.repeat_context import RepeatContext

__all__ = ["CoOccurrence", "EmbeddingSimilarity", "Popularity", "Random", "RepeatContext", "query_text"]
