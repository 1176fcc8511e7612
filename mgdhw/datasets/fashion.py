"""Fashion-MNIST: 70,000 images of clothes, found on this machine or downloaded once.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", arXiv:1708.07747 (2017); MIT licence.
"""

from __future__ import annotations

from pathlib import Path

from mgdhw.datasets.dataset import Dataset
from mgdhw.datasets.idx import find_files, read_folder
from mgdhw.errors import ConfigError, DatasetError
from mgdhw.folders import cache_folder

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

SHA256 = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion(*, url: str = URL) -> Dataset:
    """Fashion-MNIST: 784 inputs (bytes, 255 is 1.0), 10 one-hot outputs; 60,000 train, 10,000 test.

    Looks in the user's cache folder, then in `SYSTEM_FOLDER`, then downloads into the cache folder (30 MB,
    with the optional pooch).

    Args:
        url: where to download from: the official site, or a mirror of its four files.

    Raises:
        DatasetError: the files are malformed, or can be neither found nor downloaded; with a remedy.
    """
    cache, why = None, ""
    try:
        cache = cache_folder() / "fashion-mnist"
    except ConfigError as error:
        why = str(error)
    folder = next((folder for folder in (cache, SYSTEM_FOLDER) if folder is not None and _complete(folder)), None)
    if folder is None:
        if cache is None:
            raise DatasetError(
                f"fashion: not found on this machine, and there is no folder for a download: {why}; or give the folder"
                " with its files: idx:PATH"
            )
        download(cache, url)
        folder = cache
    return read_folder(folder, "fashion", CLASSES)


def download(folder: Path, url: str = URL) -> None:
    """Download the four files into a folder and check them against `SHA256`; what is there already is kept.

    Raises:
        DatasetError: pooch is not installed, the site can't be reached, or a file isn't what it should be.
    """
    otherwise = f"put {', '.join(SHA256)} into {folder}, or give the folder that has them: idx:PATH"
    if not isinstance(url, str):
        raise DatasetError(f"option 'url' must be the address of a mirror, not {url!r}")
    try:
        import pooch  # here, not above: only a download needs it
    except ImportError as error:
        raise DatasetError(
            f"fashion: not found on this machine, and pooch, which downloads it, is not installed; "
            f"pip install 'mgdhw[data]', or {otherwise}"
        ) from error
    try:
        fetcher = pooch.create(path=folder, base_url=url.rstrip("/") + "/", registry=SHA256)
        for name in SHA256:
            fetcher.fetch(name)
    # requests' errors are OSErrors; a wrong checksum or a senseless address is a ValueError.
    except (OSError, ValueError) as error:
        raise DatasetError(f"fashion: download from {url} failed ({error}); try again, or {otherwise}") from error


def _complete(folder: Path) -> bool:
    """Whether the folder holds all four files."""
    try:
        find_files(folder)
    except DatasetError:
        return False
    return True
