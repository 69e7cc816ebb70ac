"""Systems, data sets and protocols -> tables in which every number has its protocol, its n and its interval."""

from rarec.evaluate.bootstrap import ClusterBootstrap, interval, paired_interval
from rarec.evaluate.compare import Compared, Comparison, Side, Unmatched, compare_runs
from rarec.evaluate.context import Catalogue, Factory, Resources
from rarec.evaluate.gold import Gold, GoldExample, GoldItem, gold_of
from rarec.evaluate.metrics import MISS, ndcg_at, recall_at
from rarec.evaluate.predict import Progress, predict
from rarec.evaluate.predictions import Answer, Call, Predictions
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.evaluate.quick import EvaluateSettings, FlatTable, run_evaluation
from rarec.evaluate.recipe import Recipe, load_recipe
from rarec.evaluate.recorded import Recording, recorded_predictions
from rarec.evaluate.results import Block, Results
from rarec.evaluate.runner import Run, read_run, replay, run_recipe
from rarec.evaluate.score import Options, score
from rarec.evaluate.systems import GeneratingSystem, ScoredSystem, System, top_columns
from rarec.evaluate.vectors import stored_vectors

__all__ = [
    "MISS",
    "Answer",
    "Block",
    "Call",
    "Catalogue",
    "ClusterBootstrap",
    "Compared",
    "Comparison",
    "EvaluateSettings",
    "EvaluationProtocol",
    "Factory",
    "FlatTable",
    "GeneratingSystem",
    "Gold",
    "GoldExample",
    "GoldItem",
    "Options",
    "Predictions",
    "Progress",
    "Recipe",
    "Recording",
    "Resources",
    "Results",
    "Run",
    "ScoredSystem",
    "Side",
    "System",
    "Unmatched",
    "compare_runs",
    "gold_of",
    "interval",
    "load_recipe",
    "ndcg_at",
    "paired_interval",
    "predict",
    "read_run",
    "recall_at",
    "recorded_predictions",
    "replay",
    "run_evaluation",
    "run_recipe",
    "score",
    "stored_vectors",
    "top_columns",
]
