"""Datasets by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path

from mgdhw.datasets.dataset import Dataset
from mgdhw.datasets.digits import digits
from mgdhw.datasets.fashion import fashion
from mgdhw.datasets.idx import idx_folder
from mgdhw.datasets.nist7x7 import nist7x7
from mgdhw.datasets.npz import npz_file
from mgdhw.datasets.options import whole_number
from mgdhw.datasets.parity import parity, xor
from mgdhw.errors import ConfigError, DatasetError
from mgdhw.folders import expanded

# A new dataset is one file and one line here; its keyword-only parameters are its options.
_BUILDERS: dict[str, Callable[..., Dataset]] = {
    "xor": xor,
    "parity": parity,
    "nist7x7": nist7x7,
    "digits": digits,
    "fashion": fashion,
}
_FILE_BUILDERS: dict[str, Callable[..., Dataset]] = {
    "idx": idx_folder,
    "npz": npz_file,
}

_ELSEWHERE = {
    "mnist": (
        "dataset 'mnist' is not included: download its four files (train-images-idx3-ubyte.gz and so on) from"
        " https://ossci-datasets.s3.amazonaws.com/mnist/ into a folder and use idx:FOLDER, or use 'fashion', which has"
        " the same format"
    )
}
"""Datasets that users ask for, and where to find them."""

NAMES = ("xor", "parity-N", "nist7x7", "digits", "fashion", "idx:PATH", "npz:PATH")
"""What `load` takes, for help texts."""


def load(name: str, *, seed: int = 0, base: Path | None = None, **options: object) -> Dataset:
    """Load or generate a dataset; the same arguments (and files) give the same bits on every machine.

    Args:
        name: `xor`, `parity-5` (or `parity` with n=5), `nist7x7`, `digits`, `fashion`, `idx:FOLDER` with
            files of MNIST's form, or `npz:FILE`.
        seed: 64-bit key of what is random about it (the pictures of nist7x7, the split of digits and npz).
        base: what a relative path counts from (an experiment file's folder); by default the working folder.
        options: see each dataset's own function.

    Raises:
        DatasetError: no such dataset, option or file, or a file that isn't what it should be.
    """
    seed = whole_number("seed", seed, 0, 2**64 - 1)
    name = full_name(name, base)
    kind, _, rest = name.partition(":")
    if kind in _FILE_BUILDERS:
        if not rest:
            raise DatasetError(f"{kind!r} needs a path: {kind}:PATH")
        if not rest.isprintable():
            raise DatasetError(
                f"{name!r}: the path has control characters, probably from a backslash in double quotes: use"
                f" single quotes, '{kind}:C:\\Users\\...', or write / for \\"
            )
        return _build(kind, _FILE_BUILDERS[kind], (_resolve(rest, base),), seed, options)
    kind, dash, bits = name.partition("-")
    if kind == "parity" and dash and bits.isascii() and bits.isdecimal():
        if "n" in options:
            raise DatasetError(f"{name!r} already gives the number of bits; remove the option 'n'")
        return _build(kind, parity, (), seed, {**options, "n": int(bits)})
    if name not in _BUILDERS:
        if name.lower() in _ELSEWHERE:
            raise DatasetError(_ELSEWHERE[name.lower()])
        near = _nearest(name, [*_BUILDERS, *_FILE_BUILDERS])
        raise DatasetError(f"there is no dataset {name!r}{near}; available: {', '.join(NAMES)}")
    return _build(name, _BUILDERS[name], (), seed, options)


def full_name(name: str, base: Path | None = None) -> str:
    """A dataset's name with the form of its file: `my.npz` is `npz:my.npz`, a folder of its own name `idx:FOLDER`.

    Raises:
        DatasetError: it names a file of another form.
    """
    kind, colon, rest = name.partition(":")
    if colon and kind.lower() in _FILE_BUILDERS:
        return f"{kind.lower()}:{rest}"
    if not name or name.partition("-")[0] in _BUILDERS:
        return name
    if name.lower().endswith(".npz"):
        return f"npz:{name}"
    try:
        path = _resolve(name, base)
        folder, file = path.is_dir(), path.is_file()
    except (DatasetError, OSError, ValueError):  # no path at all
        return name
    if file:
        raise DatasetError(
            f"{name!r} is a file, but not an npz file: datasets are read from npz:FILE (written by numpy.savez, with"
            " arrays x and y) and idx:FOLDER (MNIST's four files)"
        )
    return f"idx:{name}" if folder else name


def _build(
    name: str, builder: Callable[..., Dataset], where: tuple[Path, ...], seed: int, options: dict[str, object]
) -> Dataset:
    """Check the options and call the builder."""
    known = {
        parameter.name: parameter
        for parameter in inspect.signature(builder).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for option in options:
        if option not in known:
            raise DatasetError(
                f"dataset {name!r} has no option {option!r}{_nearest(option, known)}; "
                f"its options are: {', '.join(known) or 'none'}"
            )
    for option, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and option not in options:
            raise DatasetError(f"dataset {name!r} needs the option {option!r}")
    # One seed serves every dataset; those without randomness ignore it.
    seeded = {"seed": seed} if "seed" in known else {}
    return builder(*where, **seeded, **options)


def _nearest(word: str, valid: Iterable[str]) -> str:
    """What to add to a message about a misspelt word; nothing if nothing is near."""
    from difflib import get_close_matches

    match = get_close_matches(word.lower(), list(valid), n=1, cutoff=0.5)
    return f" (did you mean {match[0]!r}?)" if match else ""


def _resolve(path: str, base: Path | None) -> Path:
    """`~` expanded, and relative paths taken from `base`."""
    try:
        found = expanded(path)
    except ConfigError as error:
        raise DatasetError(str(error)) from None
    return found if base is None else base / found
