"""Whatever is typed behind a command, it ends with one of the documented codes, and never with a traceback. Seeded."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.text import PIECES, gone_wrong

GOOD = 'name = "xor"\n[device]\nuri = "sim:analog-8bit?layers=2-3-1"\n[data]\nname = "xor"\n[training]\nprobes = 20\n'

NUMBERS = [piece for piece in PIECES if piece and piece.strip("-.")[:1].isdigit()] + [
    "-1",
    "0",
    "1",
    "3",
    "nan",
    "inf",
    "x",
]
COMMANDS: dict[str, list[str]] = {
    "estimate": ["estimate", "good.toml", "--preset", "PRESET", "--probes", "NUMBER", "--set", "CHANGE"],
    "show": ["sim", "show", "PRESET", "--json"],
    "train": ["train", "good.toml", "--seed", "NUMBER", "--set", "CHANGE", "--runs", "good.toml"],
    "train replicas": ["train", "good.toml", "--replicas", "NUMBER", "--seed", "NUMBER", "--runs", "good.toml"],
    "train a device": ["train", "good.toml", "--device", "DEVICE", "--runs", "good.toml"],
    "train what": ["train", "RUN", "--runs", "good.toml"],
    "resume": ["train", "--resume", "RUN", "--runs", "RUN"],
    "evaluate": ["evaluate", "RUN", "--runs", "RUN"],
    "check": ["check", "DEVICE", "--seed", "NUMBER", "--output", "none/x.toml"],
    "study": ["study", "drift", "--constants", "NUMBER", "--replicas", "NUMBER", "--output", "good.toml"],
    "serve": ["serve", "sim:rram", "--unix", "none/x", "--baud", "NUMBER", "--slew", "NUMBER", "--faults", "FAULTS"],
    "serve a port": ["serve", "DEVICE", "--tcp", "70000", "--seed", "NUMBER", "--stress", "NUMBER"],
}
TEXTS = {
    "PRESET": ["pcm", "sim:rram?weight_bits=8&seed=3", "analog-8bit?layers=2-3-1", "thermo-optic"],
    "DEVICE": ["sim:rram?seed=1&layers=2-3-1", "simm:x", "/dev/ttyACM0", "sim:mine.toml", "tcp:[::1"],
    "CHANGE": ["training.probes=20", "optimizer.eta=0.1", "codes.family=walsh", "device.uri=sim:rram"],
    "FAULTS": ["drop=0.01,delay=5ms", "away=200ms"],
    "RUN": ["runs/xor-20260101-000000", "none", "../none"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_arguments(mgdhw: Any, tmp_path: Path, command: str) -> None:
    draw = random.Random(command)
    (tmp_path / "good.toml").write_text(GOOD)
    for _ in range(12):
        arguments = [_typed(draw, word) for word in COMMANDS[command]]
        done = mgdhw(*arguments)
        assert done.code in (0, 1, 2), arguments
        assert "Traceback" not in done.err
        assert done.code == 0 or done.err.startswith("error: ") or done.code == 2, arguments


def _typed(draw: random.Random, word: str) -> str:
    if word == "NUMBER":
        return draw.choice(NUMBERS)
    text = gone_wrong(draw, TEXTS[word]) if word in TEXTS else word
    return text.replace("\0", "").replace("tcp:", "tpc:")  # no argument has NUL; and nothing is to be waited for
