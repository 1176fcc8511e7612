"""A picture of a chip: its neurons' curves, its updates, its noise, its timing. Needs matplotlib (extra `plot`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mgdhw.block import CodeSpec, Part
from mgdhw.codes import Codes
from mgdhw.report import figures
from mgdhw.report.units import quantity
from mgdhw.timing import Timing
from mgdhw_sim.reference.cells import Cells, perturbed, program, tick, weights
from mgdhw_sim.reference.datapath import activate, saturate, shift_round, target_codes
from mgdhw_sim.reference.nonideal import Moment, costs, neurons_at, signals
from mgdhw_sim.reference.variation import neurons_of
from mgdhw_sim.spec import ChipSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes


INK, ACCENT, PALE = "#22333b", "#c1121f", "#8fb8de"
DPI = 130
CELLS = (15, 4)
"""A layer of 64 cells: those whose updates are drawn."""
WRITES = 128
"""Writes on the way up, and on the way down."""
TEMPERATURES = 8
PROBES = 2000
LARGEST_LAYER = 64
"""Layers of the network whose cost is drawn are cut to this."""


def draw(spec: ChipSpec, path: Path) -> None:
    """Draw a chip and write the picture; its kind follows the name's ending (.png, .svg, .pdf).

    Raises:
        ConfigError: matplotlib is not installed, or the file cannot be written.
    """
    figure = figures.figure((11, 7.5))
    figure.suptitle(f"{spec.name}, {spec.topology}", color=INK, fontweight="bold")
    (curves, updates), (noise, timing) = figure.subplots(2, 2)
    _curves(curves, spec)
    _updates(updates, spec)
    _noise(noise, spec)
    _timing(timing, spec.timing)
    for axes in (curves, updates, noise, timing):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_color(INK)
    figures.save(figure, path, DPI)


def _curves(axes: Axes, spec: ChipSpec) -> None:
    """What each neuron of the first layer makes of its input, at some temperatures, and what it should."""
    half, lsb = 1 << (spec.signal_bits - 1), 2.0**-spec.signal_fraction_bits
    z = np.linspace(-half, half - 1, 400).astype(np.int64)
    kind = spec.activation if len(spec.layers) > 2 else spec.output_activation
    last = len(spec.layers) == 2
    ideal, n = activate(spec, z, last=last), min(spec.layers[1], LARGEST_LAYER)
    axes.plot(z * lsb, ideal * lsb, color=ACCENT, lw=2, zorder=3, label=f"{kind}, as it should be")
    label = f"{n} neurons as they are"
    for number in range(TEMPERATURES if spec.nonidealities.temperature_std > 0 else 1):
        own = neurons_at(spec, number)
        for j in range(n):
            inner = saturate(shift_round((z - own.midpoint[j]) * own.steepness[j], 12), spec.signal_bits)
            h = shift_round(activate(spec, inner, last=last) * own.amplitude[j], 12) + own.offset[j]
            if np.array_equal(h, ideal):
                continue
            axes.plot(z * lsb, saturate(h, spec.signal_bits) * lsb, color=PALE, lw=0.8, label=label)
            label = ""
    axes.set(title="neurons", xlabel="pre-activation (signal units)", ylabel="activation (signal units)")
    axes.legend(frameon=False, fontsize="small")


def _updates(axes: Axes, spec: ChipSpec) -> None:
    """What cells weigh while they are asked to go up through their range, step by step, and down again.

    Of cells that the DAC writes, how far they are from it: the curves alone do not show that.
    """
    small = replace(spec, layers=CELLS)
    n, most = small.topology.n_parameters, (1 << (spec.weight_bits - 1)) - 1
    asked = np.rint(np.linspace(-most, most, WRITES + 1)).astype(np.int64)
    asked = np.concatenate([asked, asked[-2::-1]])
    cells, weighed = Cells.fresh(n), np.empty((asked.size, n))
    for step, code in enumerate(asked):
        cells = program(small, cells, np.full(n, code), step)
        weighed[step] = weights(small, cells, tick(small, step)) * 2.0**-spec.fine_fraction_bits
    theta = asked * spec.weight_lsb
    axes.set(title="updates, up and down", xlabel="writes", ylabel="weight made")
    if not spec.nonidealities.pulsed:
        weighed, theta = (weighed - theta[:, None]) / spec.weight_lsb, 0 * theta
        axes.set(title="errors of updates, up and down", ylabel="weight made - θ asked for (steps)")
    axes.plot(weighed, color=PALE, lw=0.6)
    axes.plot([], color=PALE, label=f"{n} cells")
    axes.plot(theta, color=INK, lw=1, ls="--", zorder=4, label="asked for")
    axes.plot(weighed.mean(axis=1), color=ACCENT, lw=2, label="their mean")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.3 * (high - low), high)
    axes.legend(frameon=False, fontsize="small", loc="lower center", ncols=3)


def _noise(axes: Axes, spec: ChipSpec) -> None:
    """The cost of one sample, measured again and again: without a perturbation, and with one of random signs."""
    small = replace(spec, layers=tuple(min(size, LARGEST_LAYER) for size in spec.layers))
    drawn = np.random.default_rng(0)
    n, n_in = small.topology.n_parameters, small.layers[0]
    theta = drawn.integers(-(1 << (spec.weight_bits - 3)), 1 << (spec.weight_bits - 3), n)
    fine = weights(small, program(small, Cells.fresh(n), theta, 0), 0)
    x = drawn.integers(0, 1 << (spec.input_bits - 1), (1, 1, n_in))
    targets = target_codes(np.eye(1, small.layers[-1])[None])
    codes = Codes(CodeSpec(), small.topology).values(0, PROBES)
    found = []
    for part, held in ((Part.BASELINE, fine), (Part.PLUS, perturbed(small, fine, codes))):
        moment = Moment(np.arange(PROBES), part, np.arange(1))
        found.append(costs(small, signals(small, held, x, neurons_of(small), moment), targets, moment) * spec.cost_lsb)
    low, high = min(c.min() for c in found), max(c.max() for c in found)
    count = min(60, round((high - low) / spec.cost_lsb) + 1)
    edges = np.linspace(low - spec.cost_lsb / 2, high + spec.cost_lsb / 2, count + 1)
    tallest = 1.0
    for each, colour, label in zip(found, (INK, ACCENT), ("unperturbed", "perturbed by ± one step"), strict=True):
        bars, _, _ = axes.hist(each, edges.tolist(), color=colour, alpha=0.6, label=f"{label}: σ = {each.std():.2g}")
        tallest = max(tallest, np.max(bars))
    axes.set(
        title=f"cost of one sample, {PROBES:,} times ({small.topology})",
        xlabel="cost",
        ylabel="times",
        yscale="log",
        ylim=(0.7, 10 * tallest),
    )
    axes.legend(frameon=False, fontsize="small")


def _timing(axes: Axes, timing: Timing | None) -> None:
    """How long things take, and the energy of each."""
    axes.set(title="time, and energy of a cell")
    if timing is None:
        axes.text(0.5, 0.5, "this device declares no timing", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    rows = {
        "baseline": (timing.baseline_seconds, timing.baseline_joules),
        "probe": (timing.probe_seconds, timing.probe_joules),
        "settling": (timing.settling_seconds, timing.settling_joules),
        "input": (timing.input_seconds, timing.input_joules),
        "update, at once": (timing.update_seconds, timing.write_joules),
        "write, each": (timing.write_seconds, timing.write_joules),
    }
    rows = {name: row for name, row in rows.items() if row[0] > 0}
    axes.barh(list(rows), [seconds for seconds, _ in rows.values()], color=PALE)
    axes.invert_yaxis()
    shortest, longest = min(s for s, _ in rows.values()), max(s for s, _ in rows.values())
    axes.set(xscale="log", xlim=(shortest / 3, longest * 100), xlabel="seconds")
    for place, (seconds, joules) in enumerate(rows.values()):
        axes.text(seconds * 1.3, place, f"{quantity(seconds, 's')}, {quantity(joules, 'J')}", va="center", color=INK)
