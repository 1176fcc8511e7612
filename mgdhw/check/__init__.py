"""What a device can do, and how it should be trained: measured through the contract, within a budget of evaluations."""

from mgdhw.check.bench import MAX_EVALUATIONS
from mgdhw.check.data import fitting_dataset
from mgdhw.check.findings import Findings
from mgdhw.check.run import check

__all__ = ["MAX_EVALUATIONS", "Findings", "check", "fitting_dataset"]
