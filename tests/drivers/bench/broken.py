"""Rack files with one mistake each: the example racks with a few characters changed."""

from typing import NamedTuple

from tests.helpers.paths import ROOT

SOURCE = "source-and-scope"
UNITS = "source-measure-units"
GENERATOR = "generator-and-digitizer"


class Broken(NamedTuple):
    """An example with a mistake.

    Args:
        name: of the mistake.
        example: that is changed.
        before, after: text of the example, and what replaces it.
        key: that the message names.
        line: a part of the line that it names.
        remedy: a part of the message.
    """

    name: str
    example: str
    before: str
    after: str
    key: str
    line: str
    remedy: str

    def text(self) -> str:
        """The broken file."""
        text = (ROOT / "examples" / "benches" / f"{self.example}.toml").read_text("utf-8")
        assert text.count(self.before) >= 1, self.before
        return text.replace(self.before, self.after, 1)


BROKEN = [
    Broken(
        "unknown-key", SOURCE, 'settle = "200 us"', 'setle = "200 us"',
        "parameters[0].setle", 'setle = "200 us"', "did you mean 'settle'?",
    ),
    Broken(
        "unknown-section", SOURCE, "[interlock]", "[interlok]", "interlok", "[interlok]", "did you mean 'interlock'?",
    ),
    Broken(
        "unknown-placeholder", SOURCE, 'SOUR:VOLT {values},(@{channels})"     #', 'SOUR:VOLT {value},(@{chanels})"   #',
        "parameters[0].write", "chanels", "did you mean 'channels'?",
    ),
    Broken(
        "channel-used-twice", SOURCE, 'channels = "31:32"', 'channels = "13:14"',
        "inputs[0].channels", '"13:14"', "channel 13 of source is used also in parameters[0]",
    ),
    Broken(
        "limit-missing", SOURCE, 'min = "-4 V"\n', "", "parameters[0].min", "[[parameters]]", 'such as min = "-5 V"',
    ),
    Broken(
        "unknown-instrument", SOURCE, 'instrument = "scope"\nchannels', 'instrument = "scop"\nchannels',
        "outputs[0].instrument", 'instrument = "scop"', "did you mean 'scope'?",
    ),
    Broken(
        "wrong-unit", SOURCE, 'lsb = "1 mV"', 'lsb = "1 mA"', "parameters[0].lsb", '"1 mA"', 'such as "100 mV"',
    ),
    Broken(
        "lsb-and-limits", SOURCE, 'lsb = "1 mV"', 'lsb = "6 V"', "parameters[0].lsb", '"6 V"', "at most half",
    ),
    Broken(
        "lsb-and-format", SOURCE, 'format = ".4f"', 'format = ".2f"',
        "parameters[0].format", '".2f"', "use more digits",
    ),
    Broken(
        "too-long-for-the-buffer", UNITS, "buffer = 256", "buffer = 20",
        "parameters[0].write", "SOUR:VOLT {value}", "set buffer to what the instrument takes",
    ),
    Broken(
        "ramp-without-read", UNITS, 'read = "SOUR:VOLT?"\n', "", "parameters[0].max_step", '"1 V"', "add read",
    ),
    Broken(
        "ramp-without-step", UNITS, 'max_step = "1 V"\n', "", "parameters[0].step_time", '"1 ms"', 'add max_step = "…"',
    ),
    Broken(
        "reset-moves", UNITS, '["SOUR:VOLT:ILIM', '["*RST", "SOUR:VOLT:ILIM',
        "instruments.smu.initialise", "*RST", "leave it out",
    ),
    Broken(
        "switches-on", UNITS, '["SOUR:VOLT:ILIM 10 MA"]', '["SOUR:VOLT:ILIM 10 MA", "OUTP ON"]',
        "instruments.smu.initialise", "OUTP ON", "put it into enable",
    ),
    Broken(
        "two-windows", GENERATOR, "windows = [[4, 16]]", "windows = [[4, 8], [8, 16]]",
        "outputs[0].windows", "[8, 16]", "leave one, or remove [blocks]",
    ),
    Broken(
        "safe-beyond-a-limit", UNITS, 'safe = "0 V"', 'safe = "7 V"', "limits[0]", "[[limits]]", "or change safe",
    ),
    Broken(
        "window-outside", SOURCE, "[[50, 200]]", "[[50, 201]]", "outputs[0].windows", "201", "(or set points)",
    ),
    Broken(
        "window-before-settling", GENERATOR, "window = [4, 8]", "window = [1, 8]",
        "blocks.window", "[1, 8]", "expected 2 points or more before it",
    ),
    Broken(
        "no-waveform", GENERATOR, 'waveform = "SOUR{channel}:DATA:VOL {block}"    #', "#",
        "parameters[0]", "[[parameters]]", "waveform: missing",
    ),
    Broken(
        "wrong-network", SOURCE, "layers = [2, 3, 1]", "layers = [2, 4, 1]",
        "network.layers", "[2, 4, 1]", "has 17 parameters, but [[parameters]] has channels for 13",
    ),
    Broken(
        "step-of-two", SOURCE, 'write = "INIT"', 'write = "INIT"\nquery = "*OPC?"', "trigger[0]", "[[trigger]]", "one",
    ),
    Broken("cost", SOURCE, 'kind = "mse"', 'kind = "msee"', "cost.kind", '"msee"', "did you mean 'mse'?"),
    Broken("no-safe-state", SOURCE, "[[safe]]", "[[saef]]", "saef", "[[saef]]", "did you mean 'safe'?"),
]  # fmt: skip
