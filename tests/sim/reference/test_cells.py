"""Each effect on what cells hold and weigh does what its definition says: exact codes, or moments of what is drawn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.arrays import FloatArray
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.reference import cells
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.reference.variation import cells_of
from mgdhw_sim.spec import ChipSpec
from tests.sim.reference.gauss import assert_gaussian, assert_share

SIZES = (64, 40, 60)
P = 40 * 65 + 60 * 41
LSB = 1 / 32
PULSES: dict[str, float] = {"w_max": 2.0, "w_min": -1.0}
UP = 1 << 14
"""One code in cell units."""


def chip_with(seed: int = 1, **nonidealities: Any) -> Chip:
    """5,060 cells of 8 bits, one code being 1/32."""
    return Chip(ChipSpec(layers=SIZES, seed=seed, nonidealities=Nonidealities(**nonidealities)))


def ramp() -> FloatArray:
    """(P,) every code that there is, again and again."""
    return (np.arange(P) % 256 - 128) * LSB


def write(chip: Chip, codes: Any, step: int = 0) -> FloatArray:
    """Write codes, one for all cells or each its own; what is held, in codes."""
    chip.write(np.broadcast_to(np.asarray(codes) * LSB, (P,)), step)
    return chip.theta_actual() / LSB


def weights(chip: Chip) -> FloatArray:
    """(P,) fine weights, in codes."""
    assert chip.cells is not None
    return cells.weights(chip.spec, chip.cells, cells.tick(chip.spec, chip.current_step)) / 2.0**chip.spec.fine_bits


def nudges(chip: Chip, codes: int) -> FloatArray:
    """(P,) what a perturbation of some codes adds to the weights, in codes."""
    assert chip.cells is not None
    fine = cells.weights(chip.spec, chip.cells, 0)
    change = np.full((1, P), codes, dtype=np.int16)
    return (cells.perturbed(chip.spec, fine, change)[0] - fine) / 2.0**chip.spec.fine_bits


# --- the parameter DAC


def test_dac_offset() -> None:
    assert_array_equal(write(chip_with(dac_offset=3 / 8 * LSB), ramp() / LSB), ramp() / LSB + 3 / 8)


def test_dac_gain() -> None:
    held = write(chip_with(dac_gain=-1 / 8), ramp() / LSB)
    assert_array_equal(held, ramp() / LSB * 7 / 8)


def test_dac_inl() -> None:
    codes = ramp() / LSB
    held = write(chip_with(dac_inl=2.0), codes)
    assert_array_equal(held - codes, 2 - 2 * codes**2 / 128**2)
    assert set(held[codes == 0] - 0.0) == {2.0}
    assert set(held[codes == -128]) == {-128.0}


def test_a_cell_cannot_hold_more_than_the_range() -> None:
    for offset, limit in ((8.0, 128), (-8.0, -128)):
        assert set(write(chip_with(dac_offset=offset), ramp() / LSB)) == {limit}


# --- mismatch


def test_cell_gain_std() -> None:
    chip = chip_with(cell_gain_std=0.1)
    assert_array_equal(write(chip, 100), np.full(P, 100))  # the cell holds what it should; what it weighs is off
    assert_gaussian(weights(chip), 10.0, 100.0)
    assert_gaussian(nudges(chip, 100), 10.0, 100.0)


def test_cell_offset_std() -> None:
    chip = chip_with(cell_offset_std=3 * LSB)
    write(chip, -50)
    assert_gaussian(weights(chip), 3.0, -50.0)
    assert set(nudges(chip, 7)) == {7.0}


def test_perturbation_std() -> None:
    chip = chip_with(perturbation_std=0.1)
    write(chip, 5)
    assert set(weights(chip)) == {5.0}
    assert_gaussian(nudges(chip, 50), 5.0, 50.0)
    assert_array_equal(nudges(chip, -50), -nudges(chip, 50))


def test_stuck() -> None:
    chip = chip_with(stuck=0.25)
    first = write(chip, 100)
    stuck = cells_of(chip.spec).is_stuck
    assert_array_equal(first[~stuck], np.full(P - stuck.sum(), 100))
    second = write(chip, -3, step=1)
    assert_array_equal(first == second, stuck)
    assert_share(int(stuck.sum()), P, 0.25)
    assert_array_equal(nudges(chip, 9), np.where(stuck, 0, 9))
    assert_array_equal(weights(chip), second)
    # Any code is as likely as any other.
    codes = second[stuck]
    assert codes.min() < -120
    assert codes.max() > 119
    assert abs(codes.mean() + 0.5) < 5.3 * 256 / np.sqrt(12 * codes.size)


def test_dead() -> None:
    chip = chip_with(dead=0.25, cell_offset_std=LSB)
    write(chip, 100)
    silent = weights(chip) == 0
    assert_share(int(silent.sum()), P, 0.25)
    assert_array_equal(nudges(chip, 9) == 0, silent)
    assert_array_equal(chip.theta_actual() == 0, silent)
    both = cells_of(chip_with(dead=0.25, stuck=0.5).spec)
    assert_share(int((~both.live & ~both.is_stuck).sum()), P, 0.25)


def shares_left(chip: Chip, layer: int) -> FloatArray:
    """(n_out, n_in + 1) what a layer weighs of what its cells hold; its biases last."""
    write(chip, 64)
    one = chip.topology.layers[layer]
    found = weights(chip) / 64
    rows = found[one.weights].reshape(one.n_out, one.n_in)
    return np.concatenate([rows, found[one.biases][:, None]], axis=1)


def test_ir_row() -> None:
    for layer, n_in in enumerate(SIZES[:-1]):
        left = shares_left(chip_with(ir_row=0.25), layer)
        expected = 1 - 0.25 * (2 * np.arange(n_in + 1) + 1) / (2 * n_in + 2)
        assert np.abs(left - expected).max() <= 1 / 1024 + 1 / 32768


def test_ir_column() -> None:
    for layer, n_out in enumerate(SIZES[1:]):
        left = shares_left(chip_with(ir_column=0.5), layer)
        expected = 1 - 0.5 * (2 * np.arange(n_out) + 1) / (2 * n_out)
        assert np.abs(left - expected[:, None]).max() <= 1 / 1024 + 1 / 32768


# --- writing


def test_write_noise() -> None:
    chip = chip_with(write_noise=2 * LSB)
    first = write(chip, 10)
    assert_gaussian(first, 2.0, 10.0)
    assert_array_equal(write(chip, 10, step=5), first)  # nothing changes, so nothing is written
    second = write(chip, 20, step=6)
    assert_gaussian(second, 2.0, 20.0)
    assert_gaussian((second - 20) + (first - 10), 2.0 * np.sqrt(2))  # independent from step to step
    assert_array_equal(write(chip_with(write_noise=2 * LSB), 20, step=6), second)
    assert (write(chip_with(seed=2, write_noise=2 * LSB), 20, step=6) != second).mean() > 0.9


def test_only_cells_that_are_asked_for_another_code_are_written() -> None:
    chip = chip_with(write_noise=LSB)
    first = write(chip, ramp() / LSB)
    other = ramp() / LSB
    other[::3] = 5
    second = write(chip, other, step=1)
    same = other == ramp() / LSB
    assert_array_equal(second[same], first[same])
    assert (second[~same] != first[~same]).mean() > 0.99


@pytest.mark.parametrize(("name", "sign"), [("w_max", 1), ("w_min", -1)])
def test_soft_bounds(name: str, sign: int) -> None:
    """Each pulse takes the same share of the way to the bound: v(n) = bound (1 - (1 - d / bound)ⁿ)."""
    chip, bound = chip_with(**PULSES), abs(PULSES[name]) / LSB
    for step, codes in enumerate((1, 10, 40, 127)):
        held = write(chip, sign * codes, step)
        assert held.min() == held.max()
        assert abs(sign * held[0] - bound * (1 - (1 - 1 / bound) ** codes)) < codes / UP
    for step in range(5, 25):  # it never gets beyond, whatever is asked for
        assert (sign * write(chip, sign * 127 * (step % 2), step)).max() <= bound


def test_a_pulsed_cell_gets_as_many_pulses_as_codes_change_wherever_it_is() -> None:
    chip = chip_with(**PULSES)
    write(chip, 20)
    down = write(chip, 19, step=1)
    v = 64 * (1 - (1 - 1 / 64) ** 20)
    assert abs(down[0] - (v - (1 + v / 32))) < 30 / UP
    assert chip.cells is not None
    assert set(chip.cells.wear) == {21}


def test_dw_min() -> None:
    chip = chip_with(**PULSES, dw_min=LSB / 4)
    held = write(chip, 1)
    assert chip.cells is not None
    assert set(chip.cells.wear) == {4}
    assert abs(held - 64 * (1 - (1 - 1 / 256) ** 4)).max() < 4 / UP


def test_up_down() -> None:
    up, down = chip_with(**PULSES, up_down=0.25), chip_with(**PULSES, up_down=0.25)
    assert set(write(up, 1)) == {1.25}
    assert set(write(down, -1)) == {-0.75}


def after_one(codes: int, **nonidealities: Any) -> FloatArray:
    return write(chip_with(**PULSES, **nonidealities), codes)


def test_dw_min_dtod() -> None:
    assert_gaussian(after_one(1, dw_min_dtod=0.1, dw_min=LSB / 2) / 2, 0.05, 0.4961)


def test_up_down_dtod() -> None:
    up, down = after_one(1, up_down_dtod=0.1), after_one(-1, up_down_dtod=0.1)
    assert_gaussian(up, 0.1, 1.0)
    assert np.abs(up - down - 2).max() < 3 / UP


def test_dw_min_std() -> None:
    assert_gaussian(after_one(1, dw_min_std=0.2), 0.2, 1.0)
    many = after_one(16, dw_min_std=0.2)
    assert_gaussian(many, 0.8, 64 * (1 - (1 - 1 / 64) ** 16))  # √16 times as much


@pytest.mark.parametrize(("name", "sign"), [("w_max", 1), ("w_min", -1)])
def test_bounds_differ_from_cell_to_cell(name: str, sign: int) -> None:
    chip = chip_with(w_max=0.5, w_min=-0.5, **{f"{name}_dtod": 0.1})
    held = write(chip, sign * 120)
    expected = sign * 16.0
    for step in range(1, 4):  # to and fro until they are at their bounds
        write(chip, 0, 2 * step)
        held = write(chip, sign * 120, 2 * step + 1)
    assert_gaussian(held, 1.6, expected)


def test_endurance() -> None:
    chip = chip_with(endurance=3)
    for step, codes in enumerate((1, 2, 3)):
        assert set(write(chip, codes, step)) == {codes}
    assert set(write(chip, 3, 3)) == {3}
    assert chip.cells is not None
    assert cells.worn_out(chip.spec, chip.cells) == P
    assert set(write(chip, 4, 4)) == {3}
    assert set(nudges(chip, 5)) == {5}  # it sticks where it is, but still answers to a perturbation


def test_pulses_wear_one_by_one() -> None:
    chip = chip_with(**PULSES, endurance=30)
    write(chip, 20)
    assert chip.cells is not None
    assert cells.worn_out(chip.spec, chip.cells) == 0
    held = write(chip, 40, 1)
    assert cells.worn_out(chip.spec, chip.cells) == P
    assert_array_equal(write(chip, 0, 2), held)


def test_endurance_dtod() -> None:
    chip = chip_with(endurance=10, endurance_dtod=0.2)
    lasted = np.full(P, 99.0)
    for writes in range(1, 25):
        sticks = write(chip, writes % 2, writes) != writes % 2
        lasted = np.minimum(lasted, np.where(sticks, writes - 1, 99))
    assert lasted.max() < 99
    assert_gaussian(lasted + np.random.default_rng(1).uniform(0, 1, P), np.hypot(2, 1 / np.sqrt(12)), 10.0)


# --- ageing


def aged(chip: Chip, step: int) -> FloatArray:
    """(P,) what is held at a step, in codes."""
    assert chip.cells is not None
    return cells.theta_actual(chip.spec, chip.cells, step) / LSB


def test_retention() -> None:
    chip = chip_with(retention=1000.0)
    write(chip, 100, step=50)
    for after in (0, 1, 10, 1000, 5000):
        assert np.abs(aged(chip, 50 + after) - 100 * np.exp(-after / 1000)).max() < 0.02
    assert set(aged(chip, 10**6)) == {0.0}
    write(chip, 99, step=60)  # written again, young again
    assert set(aged(chip, 60)) == {99.0}


def test_rest() -> None:
    chip = chip_with(retention=1000.0, rest=-20 * LSB)
    write(chip, 100)
    assert np.abs(aged(chip, 700) - (-20 + 120 * np.exp(-0.7))).max() < 0.02
    assert set(aged(chip, 2**40)) == {-20.0}


def test_drift_nu() -> None:
    chip = chip_with(drift_nu=0.1)
    write(chip, 100, step=7)
    for after in (0, 1, 9, 10**6, 10**12):
        assert np.abs(aged(chip, 7 + after) - 100 * (1 + after) ** -0.1).max() < 0.05


def test_drift_nu_dtod() -> None:
    chip = chip_with(drift_nu=0.1, drift_nu_dtod=0.2)
    write(chip, 100)
    assert_gaussian(-np.log(aged(chip, 999) / 100) / np.log(1000), 0.02, 0.1)


def test_drift_every() -> None:
    chip = chip_with(retention=1000.0, drift_every=100)
    write(chip, 100, step=150)
    assert_array_equal(aged(chip, 199), np.full(P, 100))
    assert len(set(aged(chip, 200)) | set(aged(chip, 299))) == 1
    assert np.abs(aged(chip, 299) - 100 * np.exp(-0.1)).max() < 0.02
    assert np.abs(aged(chip, 350) - 100 * np.exp(-0.2)).max() < 0.02


SHOWN: dict[str, Callable[..., None]] = {
    "dac_offset": test_dac_offset,
    "dac_gain": test_dac_gain,
    "dac_inl": test_dac_inl,
    "cell_gain_std": test_cell_gain_std,
    "cell_offset_std": test_cell_offset_std,
    "perturbation_std": test_perturbation_std,
    "stuck": test_stuck,
    "dead": test_dead,
    "ir_row": test_ir_row,
    "ir_column": test_ir_column,
    "write_noise": test_write_noise,
    "w_max": test_soft_bounds,
    "w_min": test_soft_bounds,
    "dw_min": test_dw_min,
    "up_down": test_up_down,
    "w_max_dtod": test_bounds_differ_from_cell_to_cell,
    "w_min_dtod": test_bounds_differ_from_cell_to_cell,
    "dw_min_dtod": test_dw_min_dtod,
    "up_down_dtod": test_up_down_dtod,
    "dw_min_std": test_dw_min_std,
    "retention": test_retention,
    "rest": test_rest,
    "drift_nu": test_drift_nu,
    "drift_nu_dtod": test_drift_nu_dtod,
    "drift_every": test_drift_every,
    "endurance": test_endurance,
    "endurance_dtod": test_endurance_dtod,
}
"""What is shown here of what; `test_nonidealities.py` sees to it that nothing is missing."""
