"""Digests of whole trainings, as they were when this file was written: no change may alter one unawares.

The examples, shortened, and small chips: each family of codes, optimizer, schedule and mode, and each kind of
non-ideality. Levels, engines and blocks decide no bit, so that all of them have to give the same digest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mgdhw
from tests.helpers.paths import ROOT

SHORTENED: dict[str, list[str]] = {
    "examples/fashion.toml": ["training.probes=120", "training.batch=4"],
    "examples/nist7x7.toml": ["training.probes=1000"],
    "examples/paper-timing.toml": ["training.probes=40", "training.tau_x=7", "training.tau_theta=10"],
    "examples/xor-2-2-1.toml": ["training.probes=2000", "evaluation.every=1000"],
    "examples/xor-analog.toml": ["training.probes=2000", "evaluation.every=1000"],
    "examples/xor.toml": ["training.probes=2000", "evaluation.every=1000"],
    "mgdhw/experiment/digits.toml": ["training.probes=1000"],
}
EXAMPLES = {
    "examples/fashion.toml": "be5c2a143c66f9bf733e9397bd526db79f9b067cc766c5e85d0e0a65633b4a7b",
    "examples/nist7x7.toml": "16949c56b1522376c29474af8fcd908e9713152d0ef9ef3813b70e73842eac39",
    "examples/paper-timing.toml": "b9246807ca9510564e72056cacf0481a95d93dd981ae9a9117924da38ec57e6e",
    "examples/xor-2-2-1.toml": "cf00442ec41a0000a66749076aea4887063e7f0a8c227ec2b035ddad37f937b0",
    "examples/xor-analog.toml": "2ebf456dd2b41e6ceac166099832882f7982b57d9012b3de7abe101b9a0b89db",
    "examples/xor.toml": "ce1c4c3f310dcfbb8826bbad030a7ee3c4e6c37eea49af317d8293b27b7fb84e",
    "mgdhw/experiment/digits.toml": "82ae40158070f23b21af5b42fd25cdfa741a6dba971ef460bfa3a07e274669d7",
}

CELLS = "&dac_inl=1&stuck=0.1&write_noise=0.03&retention=400&rest=0.2&drift_nu=0.02&drift_every=3&endurance=200"
PULSES = "&w_max=3&w_min=-2&dw_min=0.02&up_down=0.1&dw_min_dtod=0.2&dw_min_std=0.3&perturbation_std=0.1"
SIGNALS = "&input_noise=0.01&read_noise=0.03&cost_noise=0.002&adc_noise=0.01&adc_inl=1&neuron_std=0.1"
WIRES = "&ir_row=0.05&ir_column=0.04&settling=0.2&temperature_std=5&temperature_every=6&temperature_midpoint=0.01"
WIDE = "&weight_bits=16&signal_bits=24&lut_bits=12&output_bits=16&cost_bits=20"
CONTINUOUS = {"mode": "continuous", "update_every": 3, "tau_theta": 20, "tau_hp": 5.0}

TRAININGS: dict[str, tuple[str, dict[str, Any], str]] = {
    "codes random": (
        "",
        {"codes": {"family": "random"}},
        "c1ce261083c67729c4cfce322ea9487b2bf0fec48998aca495f1e1eca280b7be",
    ),
    "codes rank1": (
        "",
        {"codes": {"family": "rank1"}},
        "4a4e4ae11b0ccadb81af609f9f72a45650bdc7fe1e2cb8f5ca5d29c2418b4e78",
    ),
    "codes sequential": (
        "",
        {"codes": {"family": "sequential"}},
        "e22f4c944df564e923560703369a425c38b7deb7dc283fcb27d6062dbadc42e8",
    ),
    "codes sinusoidal": (
        "",
        {"codes": {"family": "sinusoidal"}},
        "8360ef6df17e1b59d3c0d7989d8d28f2d2c35e745be11fa70243639f8668325b",
    ),
    "codes sparse": (
        "",
        {"codes": {"family": "sparse"}},
        "cef5329e53a90c8a6c6bcef83f1491763dcb6ae054fcdb0baeb7244bf6a01239",
    ),
    "codes walsh": (
        "",
        {"codes": {"family": "walsh"}},
        "40c8bd743e81480b38d022f3107c59107aabca3c87c5b5017e986f61500f252a",
    ),
    "codes in groups": (
        "",
        {"codes": {"family": "random", "groups": "layer"}, "training": {"baseline": "antithetic"}},
        "0035235712d6eb61618bf578a8b69468aaa8f8faa7de14173cce4a5cd8a7f9e0",
    ),
    "optimizer sgd": (
        "",
        {"optimizer": {"name": "sgd", "eta": 0.3}},
        "d1bed63c39bca6bb7bec0667b19bc64b8ac4a381b148ea8258f2853679f66fe9",
    ),
    "optimizer momentum": (
        "",
        {"optimizer": {"name": "momentum", "eta": 0.3}},
        "57ef01f538c288977d5ec2b9eb7689acdc5925626dd8d2bd1b762907599ffa57",
    ),
    "optimizer nesterov": (
        "",
        {"optimizer": {"name": "nesterov", "eta": 0.3}},
        "408513e9ae58f5e6e298c1837a29877ed3891b98a821d6896276a9e46ba41570",
    ),
    "optimizer rmsprop": (
        "",
        {"optimizer": {"name": "rmsprop", "eta": 0.3}},
        "0d06a2fa052c08213e89578ae4dcec0b5d133147015693cd45bba5bcbd557e3d",
    ),
    "optimizer adam": (
        "",
        {"optimizer": {"name": "adam", "eta": 0.3}},
        "3a75f2e6b69952d15ebd9a5895a8146a35776a14027a078ae07d607c58bc0f6a",
    ),
    "optimizer adamw": (
        "",
        {"optimizer": {"name": "adamw", "eta": 0.3}},
        "de40ab025e92508b85cf2e1553282f4df2d2cd6d7d3f5358c8841086c977430e",
    ),
    "schedule cosine": (
        "",
        {"schedule": {"name": "cosine"}},
        "9267f628ad8de977f1e84d7d66be1b090342873abecd91b59c661e5c8997b181",
    ),
    "schedule step": (
        "",
        {"schedule": {"name": "step"}},
        "e3b0d61162c87205913b7b380a6c680cd441f355f7364ce0ad32c1018c9e8aa5",
    ),
    "schedule 1/t": (
        "",
        {"schedule": {"name": "1/t"}},
        "f488468e4777817355b6774633af8f8706861a88302e1cad04e5b08ee5c32b48",
    ),
    "baseline held": (
        "",
        {"training": {"baseline": "held"}},
        "5d79fe4431f40a4eb674b671c7420c693941a87f28e756d737ec6e5c90d32646",
    ),
    "baseline antithetic": (
        "",
        {"training": {"baseline": "antithetic"}},
        "cb71341af4572b128a5387ebb16cf1d8645190437dadc1611befff23adf51eee",
    ),
    "stochastic rounding": (
        "",
        {"training": {"rounding": "stochastic", "normalise": "oripov"}},
        "9e6ed55ff8da67838e3e5d621699b00200b5dd9c3192aeb1179152079bbbe45e",
    ),
    "continuous": ("", {"training": CONTINUOUS}, "535295d3829ae95ce01d3bf42b1d09d4b13f85e450cd4a2c35f3e1a75d6deaf5"),
    "continuous, sines": (
        "",
        {"training": CONTINUOUS, "codes": {"family": "sinusoidal"}, "optimizer": {"name": "sgd"}},
        "8522fc5dca81c030e5e22d578a2b7cbac7d6fc768cfb727bd72a1792707d6a44",
    ),
    "16 bits": (
        WIDE,
        {"codes": {"family": "walsh"}},
        "de5c75c15fcbe36f168c4da92da88cdc22ebff3c9a31de7a7de4c59c4fdfe40f",
    ),
    "cross-entropy": (
        "&cost=xent&activation=tanh",
        {},
        "75b5bd07acadcfa060577f14ee0345c3f7047532455e307348b9c70beeb62469",
    ),
    "cells": (CELLS, {}, "f4262a365ddf8ef783b3fdc485b44889c6091b29419e6b006cfd967e9efa0b9a"),
    "pulses": (PULSES, {}, "66d909b4eaec815a6a44dfe66dbc1a32c65c173dac21da43e925c492c5d3fdc9"),
    "pulses, momentum, sparse": (
        PULSES,
        {"codes": {"family": "sparse"}, "optimizer": {"name": "momentum"}},
        "6f62a432bed0f06a68818a9706a53cbfdc1a1f96645a2218c6bc2e7dfe6a7cbc",
    ),
    "signals": (SIGNALS, {}, "58dd135f5367a3918227da6fbb4b0f01f960aaa1765fac06115f47f626d5730d"),
    "signals, continuous": (
        SIGNALS,
        {"training": CONTINUOUS},
        "7e4d7fae5b78eb9957fae1888726e3720022990a851bcc0764cd5b70b48670d5",
    ),
    "wires": (
        WIRES,
        {"training": {"baseline": "antithetic"}},
        "b4409d75d0c87366554b80063c2a5f321a577c8bbae65bbf138dbcced7599d02",
    ),
    "all": (
        CELLS + PULSES + SIGNALS + WIRES,
        {"codes": {"family": "rank1"}},
        "00af7d766035684c9a147cc593a9e3a1b3d73ae228459115fe4ce625ac535a96",
    ),
    "all, continuous": (
        CELLS + PULSES + SIGNALS + WIRES,
        {"training": CONTINUOUS},
        "8ae3638cb3af37897c9013c2e71d47a6e3d05df7a59522a9408e1f1f76d4806e",
    ),
}


WAYS = [
    (name, level)
    for name, (options, _, _) in TRAININGS.items()
    for level in ("host-codes", "device-codes", "learn")
    # A perturbation that is written is another experiment than one that is added, on cells like these.
    if level != "host-codes" or not any(option in options for option in ("stuck", "w_max", "ir_row"))
]


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of the examples count from the repository."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Inputs of Fashion-MNIST's size, which need no download: 40 samples of 784 pixels in ten classes."""
    pixels = (np.arange(40 * 784, dtype=np.int64).reshape(40, 784) * 2654435761 >> 7) % 256
    return pixels / 255.0, np.arange(40) % 10


@pytest.mark.parametrize("file", EXAMPLES)
def test_examples_train_as_before(file: str, pictures: tuple[np.ndarray, np.ndarray]) -> None:
    dataset = pictures if "fashion" in file else None
    trained = mgdhw.train(file, dataset=dataset, runs=None, overrides=SHORTENED[file])
    assert trained.digest == EXAMPLES[file]


@pytest.mark.parametrize(("name", "level"), WAYS)
def test_small_chips_train_as_before(name: str, level: str) -> None:
    options, sections, digest = TRAININGS[name]
    engine = "reference" if level == "host-codes" else "auto"
    training = {
        "probes": 300,
        "batch": 2,
        "tau_x": 3,
        "tau_theta": 7,
        "baseline": "every",
        **sections.get("training", {}),
    }
    experiment = {
        "seed": 5,
        "device": {"uri": f"sim:analog-8bit?layers=2-3-1&seed=3&engine={engine}{options}"},
        "data": {"name": "xor"},
        "optimizer": {"name": "adam", "eta": 0.05},
        **sections,
        "training": training,
        "run": {"level": level, "block": 40},
    }
    assert mgdhw.train(experiment, runs=None).digest == digest
