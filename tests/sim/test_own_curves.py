"""Curves and costs that a chip file gives by points: to the bit, on every engine, and known by the chip's identity."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.block import Block
from mgdhw.codes import FAMILIES
from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.server.describe import Limits, describe
from mgdhw_sim.chip_file import load_chip, to_toml
from mgdhw_sim.device import SimDevice
from mgdhw_sim.engines import choose
from mgdhw_sim.engines.numba import kernel_args
from mgdhw_sim.numbers import values
from mgdhw_sim.points import Points, Tables
from mgdhw_sim.presets import PRESETS
from mgdhw_sim.reference import datapath, tables
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec
from mgdhw_sim.uri import parse
from tests.helpers.states import assert_same_state
from tests.sim.engines.test_engines import BATCHES, draw_codes, draw_rule, first_state, learn
from tests.sim.engines.test_nonideal import compare_segments
from tests.sim.reference import referee
from tests.sim.reference.test_nonideal import compare, draw_small

from .draws import SIGNALS, draw_chip, draw_dataset, draw_effects, draw_tables

REFERENCE, COMPILED = choose("reference"), choose("numba")
CHIP = "layers = [2, 3, 1]\n"
COST = "[tables]\ncost = [[-1, 1], [0, 0], [1, 0.5]]\n"


def chip_file(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(CHIP + text, encoding="utf-8")
    return file


# --- the curve through points ----------------------------------------------------------------------------------------


def test_a_curve_is_straight_between_points_and_flat_beyond_them() -> None:
    curve = Points.of([(1.0, 0.1), (-1.0, 0.4), (0.0, -0.2)])
    assert (curve.inputs, curve.outputs) == ((-1.0, 0.0, 1.0), (0.4, -0.2, 0.1))
    for z, value in ((-5, 0.4), (-1, 0.4), (0, -0.2), (1, 0.1), (7, 0.1)):
        assert curve.at(Fraction(z)) == Fraction(value)
    third = curve.at(Fraction(-1, 3))
    assert third == Fraction(-0.2) + (Fraction(0.4) - Fraction(-0.2)) / 3, "exactly, whatever float64 makes of it"


def test_values_alone_are_evenly_spaced() -> None:
    curve = Points.even([0.0, 1.0, 0.0, 2.0], 8.0)
    assert curve.inputs == (-8.0, -8 / 3, 8 / 3, 8.0)


@pytest.mark.parametrize("number", range(25))
def test_tables_are_the_referees(number: int) -> None:
    """Curves and costs as the page defines them, written a second time."""
    rng = Random(f"tables {number}")
    spec = draw_tables(rng, replace(draw_chip(rng, SIGNALS[number % len(SIGNALS)]), lut_bits=rng.randint(4, 6)))
    for last in (False, True):
        if (spec.output_activation if last else spec.activation) == "table":
            assert_array_equal(datapath.curve_of(spec, last=last), referee.curve_table(spec, last))
    n = spec.layers[-1]
    top = 1 << (spec.signal_bits - 1)
    h = [rng.randint(-top, top - 1) for _ in range(n)]
    t = [rng.choice((0, 4096, rng.randint(-(1 << 15), (1 << 15) - 1))) for _ in range(n)]
    assert datapath.cost_codes(spec, np.array([h]), np.array([t])).tolist() == [referee.cost_code(spec, h, t)]
    assert datapath.output_codes(spec, np.array([h])).tolist() == [referee.output_codes(spec, h)]
    codes = [rng.randint(-8, 7) for _ in range(spec.topology.n_parameters)]
    x = referee.input_codes(spec, [rng.uniform(-1, 1) for _ in range(spec.layers[0])])
    assert datapath.outputs(spec, np.array(codes), np.array([x])).tolist() == [referee.signals(spec, codes, x)]


def test_a_table_of_a_known_curve_is_that_curve() -> None:
    """Points at the very borders: what is written down is what the chip has."""
    spec = ChipSpec()
    table = tables.activation_table("tanh", spec.signal_bits, spec.signal_fraction_bits, spec.lut_bits)
    borders = np.linspace(-spec.signal_range, spec.signal_range, table.size)
    points = Points.of(zip(borders.tolist(), (table * 2.0**-spec.signal_fraction_bits).tolist(), strict=True))
    own = replace(spec, activation="table", output_activation="table", tables=Tables(activation=points))
    for last in (False, True):
        assert_array_equal(datapath.curve_of(own, last=last), table)
    assert datapath.output_converter(own) == datapath.output_converter(replace(spec, output_activation="tanh"))


# --- engines ---------------------------------------------------------------------------------------------------------


def loaded(rng: Random, kind: str) -> tuple[Chip, int]:
    spec = draw_tables(rng, replace(draw_chip(rng, SIGNALS[0]), lut_bits=rng.randint(4, 8)), kind)
    chip, dataset = Chip(spec), draw_dataset(rng, spec)
    chip.load(dataset)
    half = 1 << (spec.weight_bits - 1)
    drawn = [rng.randint(-half + 9, half - 10) for _ in range(chip.topology.n_parameters)]
    chip.codes = np.array(drawn, dtype=np.int16)
    return chip, dataset.n_samples


@pytest.mark.parametrize("kind", ["curves", "cost"])
def test_compiled_loops_give_the_bits_of_the_reference(kind: str) -> None:
    narrow = 0
    for number in range(10):
        rng = Random(f"own {kind} {number}")
        chip, n = loaded(rng, kind)
        narrow += kernel_args.int16_network(chip.spec) is not None
        order = SampleOrder(rng.getrandbits(64), n, rng.choice(BATCHES), rng.randint(1, 9))
        block = Block(rng.choice((0, 2**40 + 7)), 12, draw_codes(rng, chip, rng.choice(list(FAMILIES))), order)
        assert COMPILED.unsupported_reason(chip, block) is None
        ours, expected = COMPILED.probe(chip, block), REFERENCE.probe(chip, block)
        assert_array_equal(ours.perturbed, expected.perturbed, err_msg=f"{number}: {chip.spec}")
        assert_array_equal(ours.reference, expected.reference)
        samples = np.arange(n)
        assert_array_equal(COMPILED.infer(chip, samples, 3), chip.infer(samples, 3))
        rule = draw_rule(rng, chip, n, "sgd", "random")
        state = first_state(chip, rule)
        learnt = learn(REFERENCE, chip, state, rule, [40])
        assert_same_state(learn(COMPILED, chip, state, rule, [17, 23]).state, learnt.state)
    assert (narrow > 0) == (kind == "curves"), "both kinds of kernels have been at it"


@pytest.mark.parametrize("number", range(5))
def test_nonideal_chips_have_them_too(number: int) -> None:
    def draw(rng: Random, signals: Sequence[tuple[int, float]]) -> ChipSpec:
        return draw_tables(rng, replace(draw_small(rng, signals), lut_bits=5))

    compare(number, SIGNALS[number], draw)


@pytest.mark.long
def test_nonideal_chips_in_compiled_loops() -> None:
    for number in range(12):
        rng = Random(f"imperfect own {number}")
        spec = replace(draw_chip(rng, ((12, 1.0), (16, 8.0))), weight_bits=8, input_bits=8, lut_bits=rng.randint(4, 8))
        spec = draw_effects(rng, draw_tables(rng, spec, "curves" if number % 2 else "any"))
        compare_segments(rng, spec, ("sgd", "adam")[number // 2 % 2], rng.choice(("random", *FAMILIES)))


def test_steep_curves_run_on_plain_kernels() -> None:
    """A step over the whole range between two neighbours is more than 16 bits hold."""
    flat = Tables(activation=Points.even([-8.0, 8.0], 8.0))
    steep = Tables(activation=Points.of([(-8.0, -8.0), (0.0, -8.0), (0.03125, 8.0)]))
    spec = ChipSpec(activation="table", output_activation="table", tables=flat)
    assert kernel_args.int16_network(spec) is not None
    assert kernel_args.int16_network(replace(spec, tables=steep)) is None


# --- chip files ------------------------------------------------------------------------------------------------------

FORMS = {
    "values": "[tables]\nactivation = [0, 0.25, 1]\n",
    "pairs": "[tables]\nactivation = [[-8, 0], [8, 1], [0, 0.25]]\n",
    "a file": '[tables]\nactivation = "curve.csv"\n',
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_the_forms_of_a_table_are_one_chip(tmp_path: Path, text: str) -> None:
    (tmp_path / "curve.csv").write_text("# measured\ninput,value\n-8,0\n\n0, 0.25\n8,1e0\n", encoding="utf-8-sig")
    spec = load_chip(chip_file(tmp_path, text))
    assert spec.activation == "table"
    assert spec.output_activation == "logistic", "which it says nothing of"
    assert spec.tables == Tables(activation=Points.of([(-8.0, 0.0), (0.0, 0.25), (8.0, 1.0)]))
    assert values(spec)["tables.activation"] == "3 points, -8 … 8"
    assert "3 points" in spec._repr_html_()
    again = tmp_path / "again.toml"
    again.write_text(to_toml(spec), encoding="utf-8")
    assert load_chip(again) == spec


def test_identity_goes_with_the_points_that_are_used(tmp_path: Path) -> None:
    curve = tmp_path / "curve.csv"
    file = chip_file(tmp_path, '[tables]\nactivation = "curve.csv"\ncost = [[-1, 1], [0, 0], [1, 1]]\n')
    curve.write_text("-1,-1\n1,1\n")
    before = open_device(f"sim:{file}").info
    assert before.cost_kind == "table"
    assert before.details["tables"]["activation"] == {"inputs": (-1.0, 1.0), "outputs": (-1.0, 1.0)}
    curve.write_text("-1,-1\n1,1.0000000000000002\n")
    assert open_device(f"sim:{file}").info.identity != before.identity
    curve.write_text("1,1\n-1,-1\n")
    assert open_device(f"sim:{file}").info.identity == before.identity
    unused = parse(f"sim:{file}?activation=tanh&cost=mse")
    assert unused.identity() == replace(unused, tables=Tables()).identity()
    assert parse(f"sim:{file}?output_activation=table").points()["output_activation"] == Points.of([(-1, -1), (1, 1)])


def test_chips_without_tables_are_who_they_were() -> None:
    """Runs on record name their chip by it."""
    known = {"analog-8bit": "d1f53b63a74373b3", "ideal-16bit": "0c6884470213372c", "pcm": "0d1ba3a82ffaff14"}
    assert {name: PRESETS[name].identity() for name in known} == known
    assert "tables" not in SimDevice("sim:pcm", PRESETS["pcm"]).info.details


WRONG = {
    "no list": ("activation = 3", r"tables\.activation: expected a list of numbers, a list of pairs"),
    "one point": ("activation = [3]", r"tables\.activation: expected 2 \.\.\. 65,536 points \(got 1\)"),
    "triples": ("activation = [[1, 2, 3], [2, 3, 4]]", r"tables\.activation: expected a list of numbers"),
    "twice": ("activation = [[1, 0], [1, 1]]", r"tables\.activation: has two values at 1; expected one"),
    "not a number": ("activation = [0, nan]", r"tables\.activation: expected a list of numbers"),
    "beyond": ("activation = [0, 9]", r"tables\.activation: 9 at 8: expected what signals can be, -8 \.\.\. 8"),
    "negative": ("cost = [0, -1]", r"tables\.cost: -1 at 16: expected 0 or more"),
    "unknown": ("curve = [0, 1]", r"tables\.curve: no such key; expected one of activation, output_activation, cost"),
    "no file": ('cost = "none.csv"', r"none\.csv: no such file; relative names count from the folder of the chip file"),
    "a folder": ('cost = "."', r"tables\.cost: .*: cannot be read: Is a directory"),
    "no numbers": ('cost = "text.csv"', r"text\.csv: line 2: expected two numbers, input and value.*\(got 'a,b'\)"),
    "half a row": ('cost = "half.csv"', r"half\.csv: line 3: expected two numbers.*\(got '2'\)"),
    "bytes": ('cost = "bytes.csv"', r"bytes\.csv: cannot be read: it is not text in UTF-8"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_table_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "text.csv").write_text("input,value\na,b\n")
    (tmp_path / "half.csv").write_text("0,0\n1,1\n2\n")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=message) as error:
        load_chip(chip_file(tmp_path, f"[tables]\n{text}\n"))
    assert str(error.value).startswith(f"{tmp_path / 'mine.toml'}: ")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without end")
def test_a_file_without_end_is_left(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/dev/zero: expected a table of 65,536 points at most"):
        load_chip(chip_file(tmp_path, '[tables]\ncost = "/dev/zero"\n'))


@pytest.mark.parametrize("name", ["activation", "output_activation", "cost"])
def test_a_table_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=rf'{name}=table: the chip has no such table; .*\[tables\] {name} = "FILE'):
        parse(f"sim:analog-8bit?{name}=table")


def test_a_link_has_no_name_for_such_a_cost(tmp_path: Path) -> None:
    info = open_device(f"sim:{chip_file(tmp_path, COST)}").info
    with pytest.raises(ConfigError, match="measures 'table'; a link knows mse, xent"):
        describe(info, Limits(), floats=False, cells=0)


def test_its_cost_is_reported_as_the_table_says(tmp_path: Path) -> None:
    device = open_device(f"sim:{chip_file(tmp_path, COST)}")
    outputs, targets = np.array([[0.5], [0.0], [3.0]]), np.array([[0.0], [0.5], [0.0]])
    assert device.cost_of(outputs, targets).tolist() == [0.25, 0.5, 0.5]
