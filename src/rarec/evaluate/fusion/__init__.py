"""Several systems' lists joined into one: exact where the lists are known, a lower bound where only ranks are."""

from rarec.evaluate.fusion.bounds import Glimpse, worst_interleave, worst_reciprocal_rank
from rarec.evaluate.fusion.learned import LearnedWeights, TuningRows, learn_weights, tuning_rows
from rarec.evaluate.fusion.lists import interleave, reciprocal_rank_fusion
from rarec.evaluate.fusion.members import Method, fuse, fused_lists, oracle_union

__all__ = [
    "Glimpse",
    "LearnedWeights",
    "Method",
    "TuningRows",
    "fuse",
    "fused_lists",
    "interleave",
    "learn_weights",
    "oracle_union",
    "reciprocal_rank_fusion",
    "tuning_rows",
    "worst_interleave",
    "worst_reciprocal_rank",
]
