"""For driver authors: does a device keep the contract of `mgdhw.device`?

`DeviceConformance` is the contract as pytest tests; `run_conformance` holds a live device to it without pytest.
"""

from mgdhw.testing.check import Check, NotApplicable, Opener, Outcome, Verdict
from mgdhw.testing.checks import CHECKS
from mgdhw.testing.conformance import run_conformance
from mgdhw.testing.suite import DeviceConformance

__all__ = [
    "CHECKS",
    "Check",
    "DeviceConformance",
    "NotApplicable",
    "Opener",
    "Outcome",
    "Verdict",
    "run_conformance",
]
