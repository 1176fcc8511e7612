"""For driver authors: whether a device satisfies the contract of `mgdhw.device`.

`DeviceConformance` is the contract as pytest tests; `run_conformance` checks a device without pytest.
`FunctionDevice` is a device made of a Python function, for trials and tests without hardware.
"""

from mgdhw.testing.check import Check, NotApplicable, Opener, Outcome, Verdict
from mgdhw.testing.clauses import CHECKS
from mgdhw.testing.conformance import run_conformance
from mgdhw.testing.function_device import FunctionDevice
from mgdhw.testing.pytest_suite import DeviceConformance

__all__ = [
    "CHECKS",
    "Check",
    "DeviceConformance",
    "FunctionDevice",
    "NotApplicable",
    "Opener",
    "Outcome",
    "Verdict",
    "run_conformance",
]
