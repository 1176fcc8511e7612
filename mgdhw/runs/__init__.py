"""Runs: what is kept of a training on disk, and how it is read back."""

from mgdhw.runs.begin import begin_run
from mgdhw.runs.create import create_run
from mgdhw.runs.evaluate import Evaluation, Score, evaluate_run
from mgdhw.runs.folder import Run, find_run
from mgdhw.runs.lock import RunLock
from mgdhw.runs.metrics import MetricsDatabase
from mgdhw.runs.recorder import Recorder
from mgdhw.runs.replicas_csv import ReplicasRecorder, read_replicas

__all__ = [
    "Evaluation",
    "MetricsDatabase",
    "Recorder",
    "ReplicasRecorder",
    "Run",
    "RunLock",
    "Score",
    "begin_run",
    "create_run",
    "evaluate_run",
    "find_run",
    "read_replicas",
]
