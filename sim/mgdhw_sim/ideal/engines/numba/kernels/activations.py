"""Activation functions of sixteen float32."""

from __future__ import annotations

from numba import njit

from mgdhw.compiled.kernels.simd import load, store
from mgdhw.compiled.kernels.vector_math import f32, multiply_add, select
from mgdhw.compiled.options import INLINE, JIT
from mgdhw_sim.ideal.engines.numba.program import LANES
from mgdhw_sim.reference.tables import ACTIVATIONS

LOGISTIC, TANH, RELU = (list(ACTIVATIONS).index(name) for name in ("logistic", "tanh", "relu"))

SATURATED = 7.90531110763549805
"""From here on float32 tanh is ±1."""
NUMERATOR = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
DENOMINATOR = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)


@njit(**INLINE)
def tanh(z):
    """z P(z²) / Q(z²), good to a few units in the last place: the rational function that Eigen and XLA use."""
    z = select(z > f32(SATURATED), f32(SATURATED), z)
    z = select(z < f32(-SATURATED), f32(-SATURATED), z)
    square = z * z
    p = multiply_add(f32(NUMERATOR[0]), square, f32(NUMERATOR[1]))
    p = multiply_add(p, square, f32(NUMERATOR[2]))
    p = multiply_add(p, square, f32(NUMERATOR[3]))
    p = multiply_add(p, square, f32(NUMERATOR[4]))
    p = multiply_add(p, square, f32(NUMERATOR[5]))
    p = multiply_add(p, square, f32(NUMERATOR[6]))
    q = multiply_add(f32(DENOMINATOR[0]), square, f32(DENOMINATOR[1]))
    q = multiply_add(q, square, f32(DENOMINATOR[2]))
    q = multiply_add(q, square, f32(DENOMINATOR[3]))
    return z * p / q


@njit(**JIT)
def apply(activation, signals, first, count):
    """An activation, by its number, of `count` nodes whose pre-activations begin at `first`; in place."""
    if activation == TANH:
        for at in range(first, first + count * LANES, LANES):
            store(signals, at, tanh(load(signals, at)))
    elif activation == LOGISTIC:
        half = f32(0.5)
        for at in range(first, first + count * LANES, LANES):
            store(signals, at, multiply_add(half, tanh(half * load(signals, at)), half))
    elif activation == RELU:
        zero = f32(0.0)
        for at in range(first, first + count * LANES, LANES):
            z = load(signals, at)
            store(signals, at, select(z > zero, z, zero))


@njit(**JIT)
def activate(activation, nodes, node, signals, first, count):
    """The same, of nodes whose variation is in columns of `nodes` (4, n); it has none where all are alike."""
    varied = nodes.shape[1] > 0
    if varied:
        for at in range(count):
            z = load(signals, first + at * LANES)
            store(signals, first + at * LANES, f32(nodes[1, node + at]) * (z - f32(nodes[0, node + at])))
    apply(activation, signals, first, count)
    if varied:
        for at in range(count):
            h = load(signals, first + at * LANES)
            store(signals, first + at * LANES, multiply_add(f32(nodes[2, node + at]), h, f32(nodes[3, node + at])))
