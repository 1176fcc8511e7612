"""What a device can do, and how it should be trained: measured through the contract, within a budget of evaluations."""

from mgdhw.characterize.budgeted_device import MAX_EVALUATIONS, check_budget
from mgdhw.characterize.characterization import Characterization
from mgdhw.characterize.matching_dataset import matching_dataset
from mgdhw.characterize.run import check

__all__ = ["MAX_EVALUATIONS", "Characterization", "check", "check_budget", "matching_dataset"]
