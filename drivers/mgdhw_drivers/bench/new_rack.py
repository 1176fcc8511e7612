"""The text of a new rack file, with comments on what has to be adapted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from mgdhw.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a new rack is made of.

    Args:
        layers: numbers of neurons, inputs first.
        parameters: addresses of the instruments with the parameters: one for all of them, or one for each.
        inputs: address of the instrument with the inputs; that of the parameters, if they are on its further channels.
        output: address of the instrument that reads the outputs.
        identities: what instruments answer to *IDN?, by address, where known.
    """

    layers: tuple[int, ...]
    parameters: tuple[str, ...]
    inputs: str
    output: str
    identities: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_parameters(self) -> int:
        """P."""
        return Topology.dense(self.layers).n_parameters


def rack_text(answers: Answers) -> str:
    """A complete rack file."""
    several = len(answers.parameters) > 1
    same = answers.inputs in answers.parameters
    count, n_inputs = answers.n_parameters, answers.layers[0]
    source = "units" if several else "source"
    first = count + 1 if same else 1
    on_inputs = source if same else "inputs"
    outputs = range(1, answers.layers[-1] + 1)
    parts = [
        f"""\
# A rack of instruments. Adapt what is marked with <-, then:
#   mgdhw bench check FILE      shows what would be sent; sends nothing
#   mgdhw bench try FILE        one probe, live
#   mgdhw train EXPERIMENT.toml --device bench:FILE
# docs/bench.md has every key; examples/benches has complete racks.

name = "my bench"

[network]
layers = {list(answers.layers)}       # {count} parameters: for each layer its weights, row by row, then its biases
""",
        _instrument(answers, source, answers.parameters, several, moves=True),
        *([] if same else [_instrument(answers, "inputs", (answers.inputs,), False, switch=True)]),
        _instrument(answers, "meter", (answers.output,), False),
        _parameters(source, several, count),
        f"""\
[[inputs]]
instrument = "{on_inputs}"
channels = "{first}:{first + n_inputs - 1}"
write = "SOUR{{channel}}:VOLT {{value}}"        # <- the command that sets an input
format = ".4f"
low = "0 V"                                 # <- level of the value 0
high = "1 V"                                # <- level of the value 1
confirm = "*OPC?"
settle = "1 ms"                             # <- from a write until a measurement may begin
""",
        """\
# What begins a measurement, if the query below does not: steps in order.
# [[trigger]]
# instrument = "meter"
# write = "INIT"
""",
        f"""\
[[outputs]]
instrument = "meter"
channels = {json.dumps(list(outputs))}
query = "{"READ?" if len(outputs) == 1 else "MEAS:VOLT? (@{channels})"}"                             # <- what is read
scale = 1.0                                 # <- output = scale * reading + offset
offset = 0.0
""",
        """\
[measurement]
readings = 1                                # each measurement is the mean of so many

[cost]
kind = "mse"
""",
        *(
            f"""\
[[safe]]                                    # sent in this order on every exit
instrument = "{name}"
write = "OUTP OFF"                          # <-
"""
            for name in dict.fromkeys([source, on_inputs])
        ),
    ]
    return "\n".join(parts)


def _instrument(
    answers: Answers,
    name: str,
    addresses: tuple[str, ...],
    several: bool,
    *,
    moves: bool = False,
    switch: bool = False,
) -> str:
    where = f"addresses = {json.dumps(list(addresses))}" if several else f"address = {json.dumps(addresses[0])}"
    identity = answers.identities.get(addresses[0], "")
    expected = ",".join(identity.split(",")[:2])
    if moves:
        begin = "initialise = []     # <- sent after opening; no *RST, no OUTP ON: they would move parameters at once\n"
        begin += 'enable = ["OUTP ON"]                        # <- sent when parameters are at their safe values\n'
        begin += 'enabled = "OUTP?"                           # <- 1: outputs are on already, and nothing is moved'
    else:
        begin = (
            f"initialise = [{json.dumps('OUTP ON' if switch else '*RST')}]                      # <- sent after opening"
        )
    return f"""\
[instruments.{name}]
{where}
identity = {json.dumps(expected)}{"" if expected else "     # <- text in its answer to *IDN?"}
timeout = "2 s"
{begin}
"""


def _parameters(source: str, several: bool, count: int) -> str:
    channels = "" if several else f'channels = "1:{count}"\n'
    write, read = (
        ("SOUR:VOLT {value}", "SOUR:VOLT?") if several else ("SOUR{channel}:VOLT {value}", "SOUR{channel}:VOLT?")
    )
    return f"""\
[[parameters]]
name = "weights"
instrument = "{source}"
{channels}write = "{write}"        # <- the command that sets a parameter
read = "{read}"                 # <- the query for what it holds: ramps begin there
format = ".4f"
units = "V"
min = "-1 V"                                # <- limits: nothing beyond them is ever sent
max = "1 V"                                 # <-
lsb = "1 mV"                                # <- smallest step
safe = "0 V"                                # <- at rest
max_step = "100 mV"                         # <- larger changes are ramps of such steps,
step_time = "1 ms"                          # <- one at a time
confirm = "*OPC?"                           # answered when the value has been set
settle = "1 ms"                             # <- from then until a measurement may begin
"""
