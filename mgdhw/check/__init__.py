"""What a device can do, and how it should be trained: measured through the contract, within a budget of evaluations."""

from mgdhw.check.bench import MAX_EVALUATIONS, check_budget
from mgdhw.check.data import fitting_dataset
from mgdhw.check.findings import Findings
from mgdhw.check.run import check

__all__ = ["MAX_EVALUATIONS", "Findings", "check", "check_budget", "fitting_dataset"]
