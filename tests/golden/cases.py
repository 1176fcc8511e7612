"""What the golden vectors ask: chips, data and blocks over all effects. Only `renew.py` looks here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from mgdhw.block import Baseline
from mgdhw.codes import FAMILIES
from mgdhw.learning.schedule import SCHEDULES
from mgdhw.optimizers import OPTIMIZERS

Case = dict[str, Any]

FIRST_FAMILIES = ("random", "rank1", "sequential", "sinusoidal", "sparse", "walsh")
FIRST_OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
"""A case depends on its number: what is added later is numbered after these."""

CHIP: Case = {
    "layers": [3, 3, 2],
    "activation": "logistic",
    "output_activation": "logistic",
    "weight_bits": 8,
    "weight_range": 4.0,
    "input_bits": 8,
    "input_bipolar": False,
    "signal_bits": 16,
    "signal_range": 8.0,
    "lut_bits": 8,
    "output_bits": 8,
    "cost": "mse",
    "cost_bits": 12,
    "cost_range": 1.0,
    "seed": 7,
    "effects": {},
}
WIDE: Case = {
    "weight_bits": 16,
    "input_bits": 16,
    "signal_bits": 24,
    "lut_bits": 12,
    "output_bits": 16,
    "cost_bits": 20,
}
LOGITS: Case = {"cost": "xent", "output_activation": "identity", "cost_range": 8.0}
BLOCK: Case = {
    "first_step": 40,
    "probes": 8,
    "family": "random",
    "code_seed": 11,
    "amplitude": 3,
    "groups": "all",
    "density": 0.5,
    "batch": 2,
    "tau_x": 3,
    "order_seed": 5,
    "baseline": "held",
    "held": None,
}
PULSES: Case = {"w_max": 3.0, "w_min": -2.0}

NONIDEALITIES: dict[str, Case] = {
    "dac_offset": {"dac_offset": 0.05},
    "dac_gain": {"dac_gain": -0.06},
    "dac_inl": {"dac_inl": 1.7},
    "cell_gain_std": {"cell_gain_std": 0.1},
    "cell_offset_std": {"cell_offset_std": 0.06},
    "stuck": {"stuck": 0.3},
    "dead": {"dead": 0.3},
    "stuck and dead": {"stuck": 0.5, "dead": 0.5},
    "perturbation_std": {"perturbation_std": 0.2},
    "input_noise": {"input_noise": 0.05},
    "read_noise": {"read_noise": 0.1},
    "ir_row": {"ir_row": 0.2},
    "ir_column": {"ir_column": 0.3},
    "neuron_std": {"neuron_std": 0.2},
    "midpoint_std": {"midpoint_std": 0.3},
    "steepness_std": {"steepness_std": 0.3},
    "amplitude_std": {"amplitude_std": 0.2},
    "offset_std": {"offset_std": 0.1},
    "neuron_std and offset_std": {"neuron_std": 0.2, "offset_std": 0.05},
    "adc_noise": {"adc_noise": 0.02},
    "adc_inl": {"adc_inl": -3.3},
    "cost_noise": {"cost_noise": 0.01},
    "write_noise": {"write_noise": 0.08},
    "soft bounds": {**PULSES},
    "dw_min": {**PULSES, "dw_min": 0.01},
    "up_down": {**PULSES, "up_down": 0.2},
    "w_max_dtod, w_min_dtod": {**PULSES, "w_max_dtod": 0.2, "w_min_dtod": 0.3},
    "dw_min_dtod": {**PULSES, "dw_min_dtod": 0.3},
    "up_down_dtod": {**PULSES, "up_down_dtod": 0.1},
    "dw_min_std": {**PULSES, "dw_min_std": 0.5, "write_noise": 0.02},
    "retention": {"retention": 100.0},
    "rest, drift_every": {"retention": 60.0, "rest": -0.7, "drift_every": 3},
    "drift_nu": {"drift_nu": 0.1},
    "drift_nu_dtod": {"drift_nu": 0.1, "drift_nu_dtod": 0.4, "rest": 0.3},
    "temperature_midpoint": {"temperature_std": 10.0, "temperature_every": 5, "temperature_midpoint": 0.02},
    "temperature_steepness": {"temperature_std": 10.0, "temperature_every": 7, "temperature_steepness": -0.008},
    "settling": {"settling": 0.3},
    "endurance": {"endurance": 2.0},
    "endurance_dtod": {**PULSES, "endurance": 90.0, "endurance_dtod": 0.4},
}
ALL: Case = {
    "dac_offset": 0.02,
    "dac_gain": 0.03,
    "dac_inl": -0.8,
    "cell_gain_std": 0.05,
    "cell_offset_std": 0.02,
    "stuck": 0.06,
    "dead": 0.06,
    "perturbation_std": 0.1,
    "input_noise": 0.01,
    "read_noise": 0.03,
    "ir_row": 0.05,
    "ir_column": 0.04,
    "midpoint_std": 0.1,
    "steepness_std": 0.05,
    "amplitude_std": 0.06,
    "offset_std": 0.03,
    "adc_noise": 0.01,
    "adc_inl": 0.9,
    "cost_noise": 0.002,
    "write_noise": 0.03,
    "retention": 500.0,
    "rest": 0.2,
    "drift_nu": 0.02,
    "drift_nu_dtod": 0.3,
    "drift_every": 4,
    "temperature_std": 5.0,
    "temperature_every": 6,
    "temperature_steepness": 0.004,
    "temperature_midpoint": -0.006,
    "settling": 0.2,
    "endurance": 4.0,
    "endurance_dtod": 0.3,
}
ALL_PULSES: Case = {
    **ALL,
    **PULSES,
    "dw_min": 0.02,
    "up_down": 0.1,
    "w_max_dtod": 0.1,
    "w_min_dtod": 0.1,
    "dw_min_dtod": 0.2,
    "up_down_dtod": 0.05,
    "dw_min_std": 0.3,
    "endurance": 300.0,
}


def case(name: str, kind: str, chip: Case, request: Case, samples: int = 4) -> Case:
    """A case with data and parameters that its name decides."""
    rng, chip = Random(name), {**CHIP, **chip}
    n_in, *_, n_out = chip["layers"]
    low, high = (-1, 1) if chip["input_bipolar"] else (0, 2)
    inputs = [
        [rng.randrange(low << chip["input_bits"] - 1, high << chip["input_bits"] - 1) for _ in range(n_in)]
        for _ in range(samples)
    ]
    targets = [[4096 if j == n % n_out else 0 for j in range(n_out)] for n in range(samples)]
    if chip["cost"] == "mse":
        targets[0] = [rng.randrange(4097) for _ in range(n_out)]
    found = {"name": name, "kind": kind, "chip": chip, "inputs": inputs, "targets": targets}
    codes = draw_codes(rng, chip)
    if kind == "block":
        found["writes"] = list(writes(rng, chip, codes, request["first_step"]))
    else:
        unit = chip["weight_range"] * 2.0 ** (1 - chip["weight_bits"])
        request = {**request, "theta": [((code + rng.random()) * unit).hex() for code in codes]}
    return {**found, "request": request}


def draw_codes(rng: Random, chip: Case) -> list[int]:
    half = 1 << (chip["weight_bits"] - 1)
    count = sum(n * (m + 1) for m, n in zip(chip["layers"], chip["layers"][1:], strict=False))
    return [rng.randrange(-half // 2, half // 2) for _ in range(count)]


def writes(rng: Random, chip: Case, codes: list[int], first_step: int) -> Iterator[Case]:
    """One of all parameters, and on a nonideal chip more of some; the last just before the block."""
    yield {"step": max(0, first_step - 33), "codes": codes}
    if chip["effects"]:
        for step in (max(0, first_step - 5), max(0, first_step - 1 + first_step % 2)):
            other = draw_codes(rng, chip)
            codes = [new if rng.random() < 0.5 else old for old, new in zip(codes, other, strict=True)]
            yield {"step": step, "codes": codes}


def numbered(first: tuple[str, ...], known: Iterable[str]) -> list[str]:
    """Names in the order of their numbers."""
    return [*first, *(name for name in known if name not in first)]


def ideal() -> Iterator[Case]:
    """Families, groups, baselines, costs, curves and widths of chips without faults."""
    kinds = list(Baseline)
    for n, family in enumerate(numbered(FIRST_FAMILIES, FAMILIES)):
        for m, grouped in enumerate(("all", "layer")):
            chip = LOGITS if m else {}
            request = {**BLOCK, "family": family, "groups": grouped, "baseline": str(kinds[(n + m) % len(kinds)])}
            yield case(f"{family}, {grouped}", "block", chip, request)
    for curve in ("tanh", "relu", "identity"):
        chip = {"activation": curve, "output_activation": curve, "cost_range": 16.0, "input_bipolar": curve == "tanh"}
        yield case(f"{curve} neurons", "block", chip, {**BLOCK, "baseline": "antithetic"})
    yield case("16 bits", "block", WIDE, {**BLOCK, "amplitude": 700})
    yield case("16 bits, logits", "block", {**WIDE, **LOGITS}, {**BLOCK, "amplitude": 700, "family": "rank1"})
    yield case(
        "few bits",
        "block",
        {"weight_bits": 5, "input_bits": 1, "output_bits": 4, "cost_bits": 6},
        {**BLOCK, "amplitude": 1},
    )
    yield case("one layer", "block", {"layers": [5, 3]}, {**BLOCK, "family": "walsh"})
    yield case("a carried baseline", "block", {}, {**BLOCK, "held": {"value": 777, "step": 39}})
    yield case("a carried baseline of another batch", "block", {}, {**BLOCK, "held": {"value": 777, "step": 38}})
    yield case("steps beyond 32 bits, a large batch", "block", {}, {**BLOCK, "first_step": 2**32 - 4, "batch": 9})


def nonidealities() -> Iterator[Case]:
    """One effect at a time."""
    for n, (name, strengths) in enumerate(NONIDEALITIES.items()):
        baseline = ("held", "every", "antithetic")[n % 3]
        yield case(name, "block", {"effects": strengths}, {**BLOCK, "baseline": baseline})


def together() -> Iterator[Case]:
    """All effects at once."""
    kinds = list(Baseline)
    for n, family in enumerate(numbered(FIRST_FAMILIES, FAMILIES)):
        chip = {"effects": ALL_PULSES if n % 2 else ALL, "seed": 2**64 - 1 - n, **(LOGITS if n % 3 == 2 else {})}
        request = {**BLOCK, "family": family, "baseline": str(kinds[n % len(kinds)]), "first_step": 41 + n}
        yield case(f"all, {family}", "block", chip, request)
    for baseline in ("held", "every", "antithetic"):
        request = {**BLOCK, "baseline": baseline, "amplitude": 300, "first_step": 2**33 + 1, "groups": "layer"}
        yield case(f"all, 16 bits, {baseline}", "block", {**WIDE, "effects": ALL}, request)
    few = {"weight_bits": 5, "input_bits": 2, "output_bits": 4, "cost_bits": 6, "effects": ALL_PULSES | {"dw_min": 0.1}}
    yield case("all, few bits", "block", few, {**BLOCK, "amplitude": 1})
    yield case("all, many inputs", "block", {"layers": [19, 2, 9], "effects": ALL}, BLOCK)
    yield case("all, from step 0", "block", {"effects": ALL}, {**BLOCK, "first_step": 0, "tau_x": 1})


def segments() -> Iterator[Case]:
    """Training: every optimizer and schedule, on chips without faults and with all of them."""
    plain = {name: BLOCK[name] for name in BLOCK if name not in ("first_step", "held")}
    training = {"probes": 45, "update_period": 7, "eta": 0.5, "updates": 9, "schedule": "constant"}
    schedules = list(SCHEDULES)
    for n, optimizer in enumerate(numbered(FIRST_OPTIMIZERS, OPTIMIZERS)):
        for kind, chip in (("ideal", {}), ("all", {"effects": ALL_PULSES if n % 2 else ALL})):
            request = {**plain, **training, "optimizer": optimizer, "schedule": schedules[n % len(schedules)]}
            request["eta"] = 0.05 if optimizer.startswith(("adam", "rms")) else 2.0
            request["baseline"] = ("held", "every", "antithetic")[n % 3]
            yield case(f"{optimizer}, {kind}", "segment", chip, request)


GROUPS = {"ideal": ideal, "effects": nonidealities, "together": together, "segments": segments}
