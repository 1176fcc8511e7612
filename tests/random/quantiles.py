"""The tables of `mgdhw.random.gaussian`, computed again: quantiles of the Gaussian to forty digits, rounded half up.

The tables lie in `mgdhw/random/gaussian_tables.py`, and a test compares them with these.
"""

from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from statistics import NormalDist

from mgdhw.random.gaussian import FAR_CELLS, SCALE, SLABS, UNIT

DIGITS = 70
CLOSE = Decimal(10) ** -40
SQRT_2_OVER_PI = Decimal(
    "0.79788456080286535587989211986876373695171726232986931533185165934131585179860367700250466781461387286"
)


def within(x: Decimal) -> Decimal:
    """P(|Z| <= x): √(2/π) e^(−x²/2) Σ x^(2n+1) / (1 · 3 · … · (2n+1)), whose terms are all positive."""
    term = total = x
    n = 1
    while term > total * Decimal(10) ** -DIGITS:
        n += 2
        term = term * x * x / n
        total += term
    return total * density(x)


def density(x: Decimal) -> Decimal:
    """Of |Z|."""
    return SQRT_2_OVER_PI * (-x * x / 2).exp()


def beyond(p: Fraction) -> Decimal:
    """The x with P(|Z| > x) = p, to forty digits: Newton's method, from what floating point says."""
    with localcontext() as context:
        context.prec = DIGITS
        wanted = 1 - Decimal(p.numerator) / Decimal(p.denominator)
        x = Decimal(-NormalDist().inv_cdf(float(p) / 2)) if p < 1 else Decimal(0)
        step = Decimal(1) if p < 1 else Decimal(0)
        while abs(step) > CLOSE:
            step = (within(x) - wanted) / density(x)
            x -= step
        return x


def entry(x: Decimal) -> int:
    """A table's entry, in units of noise."""
    with localcontext() as context:
        context.prec = DIGITS
        scaled = x * UNIT * SCALE.numerator / SCALE.denominator
        return int((scaled + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def borders() -> list[int]:
    """Ends of the slabs' straight pieces: in the middle of each piece is the mean of |Z| in its slab."""
    with localcontext() as context:
        context.prec = DIGITS
        at = [density(beyond(1 - Fraction(k, SLABS))) for k in range(SLABS)]
        ends = [Decimal(0)]
        for k in range(SLABS - 1):
            mean = SLABS * (at[k] - at[k + 1])
            ends.append(2 * mean - ends[k])
        return [entry(end) for end in ends]


def rare() -> list[int]:
    """Beyond the last border: the middles of cells of 2⁻¹⁵, the last FAR_CELLS left out."""
    return [entry(beyond(Fraction(2 * (256 - r) - 1, 1 << 16))) for r in range(256 - FAR_CELLS)]


def far() -> list[int]:
    """Borders of the last cells: sixteen to each halving of the probability, from 2⁻³² of it up to all of it."""
    shares = [Fraction(16 + j % 16, 16 << (32 - j // 16)) for j in range(16 * 32)]
    return [entry(beyond(Fraction(FAR_CELLS, 1 << 15) * share)) for share in (*shares, Fraction(1))]
