"""Addresses of the simulated chips that most tests train: 2-3-1, for XOR."""

CHIP = "sim:analog-8bit?layers=2-3-1"
WIDE_CHIP = f"{CHIP}&weight_range=8"
"""Its parameters reach far enough to learn XOR well."""
REFERENCE_CHIP = f"{CHIP}&engine=reference"
WIDE_REFERENCE_CHIP = f"{WIDE_CHIP}&engine=reference"
