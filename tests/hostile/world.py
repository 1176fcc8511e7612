"""What hostile requests are sent to: a small chip, and all that a board can hold of it, byte by byte."""

from __future__ import annotations

import struct
import zlib
from enum import Enum

from mgdhw_drivers.protocol.messages import Learn, Load, Probe
from mgdhw_drivers.protocol.numbers import Area, LearnFlag, Type

CHIP = ("layers=5-4-3", "weight_bits=10", "activation=tanh")
"""Options of a chip's address, and of the host port."""
N_IN, N_OUT, P, N_SAMPLES = 5, 3, 39, 7
CODE_LOW, CODE_HIGH = -512, 511
LSB = 2.0**-7
SAMPLES_HELD = 300
"""Indices in SAMPLES; the last is beyond the dataset, the others are in it."""
ETAS = 20

INPUTS = bytes((37 * i) % 256 for i in range(N_SAMPLES * N_IN))
TARGETS = struct.pack(f"<{N_SAMPLES * N_OUT}h", *(4096 * (i % 3 == 0) for i in range(N_SAMPLES * N_OUT)))
CODES = [(i * 29) % 101 - 50 for i in range(P)]
MOST_AMPLITUDE = min(CODE_HIGH - max(CODES), min(CODES) - CODE_LOW)
"""That leaves every parameter its room."""
REQUESTED = struct.pack(f"<{P}h", *CODES)
THETA = struct.pack(f"<{P}d", *(code * LSB for code in CODES))
SAMPLES = struct.pack(f"<{SAMPLES_HELD}I", *(i % N_SAMPLES for i in range(SAMPLES_HELD - 1)), N_SAMPLES)
RATES = struct.pack(f"<{ETAS}d", *[0.01] * ETAS)
ZEROS = bytes(8 * P)

AREAS = {
    Area.REQUESTED: REQUESTED,
    Area.SAMPLES: SAMPLES,
    Area.ETA: RATES,
    Area.THETA: THETA,
    Area.SLOT1: ZEROS,
    Area.SLOT2: ZEROS,
    Area.CROSS: ZEROS,
    Area.ENERGY: ZEROS,
    Area.GRADIENT: ZEROS,
}
"""What is written before anything else; a board is given it again when a request has changed it."""

THETA_CRC = zlib.crc32(REQUESTED)


def load(n_samples: int = N_SAMPLES, n_train: int = N_SAMPLES, scale: float = 1.0, kind: int = 0) -> Load:
    """A LOAD of the dataset, or of as much of it as there are bytes for."""
    bare = Load(n_samples, n_train, scale, kind, 0)
    content = INPUTS[: n_samples * N_IN] + TARGETS[: 2 * n_samples * N_OUT]
    return Load(n_samples, n_train, scale, kind, zlib.crc32(content + bare.pack()[:-4]))


DATASET_CRC = load().crc


class Holding(Enum):
    """What a board is doing and holds when a request comes."""

    SAFE = "in the safe state"
    TAKEN = "identified, with nothing"
    LOADED = "with a dataset"
    SET = "with a dataset and parameters"
    RUNNING = "with both, in the middle of a block"
    LEARNT = "with both, after a segment"

    @property
    def dataset(self) -> bool:
        """Whether it has the dataset."""
        return self not in (Holding.SAFE, Holding.TAKEN)

    @property
    def theta(self) -> bool:
        """Whether its parameters are those of REQUESTED."""
        return self in (Holding.SET, Holding.RUNNING, Holding.LEARNT)


PROBE = Probe(
    first_step=0,
    code_seed=3,
    order_seed=5,
    code_parameter=0.5,
    held_value=bytes(8),
    held_step=0,
    n_probes=8,
    order_n=N_SAMPLES,
    batch=2,
    tau_x=1,
    theta_crc=THETA_CRC,
    dataset_crc=DATASET_CRC,
    amplitude=2,
    family=0,
    groups=0,
    baseline=0,
    flags=0,
)
"""A block that every board with a dataset and parameters can run."""

LEARN = Learn(
    update=0,
    rounding_seed=7,
    eta=0.0,
    scale=1.0,
    low=-3.0,
    high=3.0,
    tau_hp=10.0,
    constants=(0.0,) * 5,
    scalars=(1.0, 1.0),
    analog_cost=0.0,
    high_passed=0.0,
    ticket=6,
    state_crc=zlib.crc32(THETA),
    update_period=4,
    tau_theta=20,
    eta_count=0,
    eta_crc=0,
    optimizer=0,
    flags=LearnFlag.WINDOW_EMPTY,
    guard_crc=0,
)
"""A segment of two updates that leaves the parameters where they are."""

ENDLESS = {"n_probes": (1 << 31) - 1, "batch": 2000}
"""Of a block that is still running when anything is asked."""

SHAPES = {
    Type.IDENTIFY: 12,
    Type.PING: 0,
    Type.SAFE: 0,
    Type.STATISTICS: 0,
    Type.READ: 12,
    Type.LOAD: 24,
    Type.SET: 16,
    Type.MEASURE: 32,
    Type.INFER: 24,
    Type.PROBE: 80,
    Type.LEARN: 240,
    Type.SNAPSHOT: 0,
    Type.RESTORE: 8,
}
"""Bytes of each request whose length is fixed."""
