"""What a device can do, and how it should be trained: measured through the contract, within a budget of evaluations."""

from mgdhw.characterize.bench import MAX_EVALUATIONS, check_budget
from mgdhw.characterize.data import fitting_dataset
from mgdhw.characterize.findings import Characterization
from mgdhw.characterize.run import check

__all__ = ["MAX_EVALUATIONS", "Characterization", "check", "check_budget", "fitting_dataset"]
