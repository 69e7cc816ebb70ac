"""Rankings and ground truths -> a table in which every number has its protocol, its n and its interval."""

from rarec.evaluate.bootstrap import ClusterBootstrap, interval, paired_interval
from rarec.evaluate.harness import Rows, recorded_ranks, rows_of, system_ranks
from rarec.evaluate.metrics import MISS, ndcg_at, recall_at
from rarec.evaluate.recorded import RecordedRanks, Recording, read_recorded
from rarec.evaluate.report import render
from rarec.evaluate.run import BASELINES, Context, EvaluateSettings, Factory, run_evaluation
from rarec.evaluate.systems import ScoredSystem, System, top_columns
from rarec.evaluate.table import Options, Prediction, Table, TableRow, evaluate
from rarec.evaluate.vectors import stored_vectors

__all__ = [
    "BASELINES",
    "MISS",
    "ClusterBootstrap",
    "Context",
    "EvaluateSettings",
    "Factory",
    "Options",
    "Prediction",
    "RecordedRanks",
    "Recording",
    "Rows",
    "ScoredSystem",
    "System",
    "Table",
    "TableRow",
    "evaluate",
    "interval",
    "ndcg_at",
    "paired_interval",
    "read_recorded",
    "recall_at",
    "recorded_ranks",
    "render",
    "rows_of",
    "run_evaluation",
    "stored_vectors",
    "system_ranks",
    "top_columns",
]
