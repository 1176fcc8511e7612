"""Fashion-MNIST: where it is looked for, and how it is downloaded (from a real server on this machine)."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgdhw.datasets import fashion, load
from mgdhw.errors import DatasetError

Files = dict[str, bytes]
Fill = Callable[[Path, Files], Path]


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, silently, and remembers what it was asked for."""

    def __init__(self, *args: Any, asked: list[str], **kwargs: Any) -> None:
        self.asked = asked
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Site:
    """A folder on the web."""

    def __init__(self, folder: Path, url: str, asked: list[str]) -> None:
        self.folder, self.url, self.asked = folder, url, asked


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    asked: list[str] = []
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder), asked=asked)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Site(folder, f"http://127.0.0.1:{server.server_port}/fashion", asked)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no Fashion-MNIST yet."""
    monkeypatch.setattr(fashion, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(fashion, "SYSTEM_FOLDER", tmp_path / "system")
    return tmp_path / "cache" / "fashion-mnist"


@pytest.fixture
def small(idx_files_gz: Files, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Four small files in place of the real ones, checksums and all."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in idx_files_gz.items()}
    monkeypatch.setattr(fashion, "SHA256", sums)
    return idx_files_gz


def test_the_real_files(fashion_folder: Path) -> None:
    for name, sha256 in fashion.SHA256.items():
        assert hashlib.sha256((fashion_folder / name).read_bytes()).hexdigest() == sha256
    dataset = load(f"idx:{fashion_folder}")
    assert (dataset.n_train, dataset.n_test, dataset.n_inputs, dataset.n_outputs) == (60_000, 10_000, 784, 10)
    assert dataset.inputs.nbytes == 70_000 * 784
    assert dataset.targets[:60_000].sum(axis=0).tolist() == [6000] * 10
    assert dataset.targets[60_000:].sum(axis=0).tolist() == [1000] * 10
    assert dataset.values([0]).max() == 1.0
    assert dataset.digest == "6d2255b93bab5c2ae2d15c0abd56d2f32e4aa122158da5b323342700dfa83ff0"


def test_download_of_the_real_files(site: Site, cache: Path, fashion_folder: Path) -> None:
    (site.folder / "fashion").symlink_to(fashion_folder)
    dataset = load("fashion", url=site.url)
    assert (dataset.name, dataset.n_samples) == ("fashion", 70_000)
    assert dataset.classes[9] == "Ankle boot"
    assert dataset.digest == load(f"idx:{cache}").digest == load(f"idx:{fashion_folder}").digest


def test_downloaded_once(site: Site, cache: Path, small: Files, fill: Fill) -> None:
    fill(site.folder / "fashion", small)
    first = load("fashion", url=site.url)
    assert sorted(site.asked) == sorted(f"/fashion/{name}" for name in small)
    assert {file.name: file.read_bytes() for file in cache.iterdir()} == small
    again = load("fashion", url=site.url + "/gone")
    assert len(site.asked) == 4
    assert again.digest == first.digest
    assert again.n_outputs == 10  # as the names say, though this one has three classes only


def test_an_interrupted_download_goes_on(site: Site, cache: Path, small: Files, fill: Fill) -> None:
    fill(site.folder / "fashion", small)
    have = dict(list(small.items())[:2])
    fill(cache, have)
    load("fashion", url=site.url)
    assert sorted(site.asked) == sorted(f"/fashion/{name}" for name in small.keys() - have.keys())


def test_corrupted_download_is_refused(site: Site, cache: Path, small: Files, fill: Fill) -> None:
    name = "t10k-images-idx3-ubyte.gz"
    fill(site.folder / "fashion", small | {name: small[name][:-1] + b"?"})
    with pytest.raises(DatasetError, match=f"(?s){name}.*put .* into .*, or give the folder") as caught:
        load("fashion", url=site.url)
    assert site.url in str(caught.value)
    assert not (cache / name).exists()


def test_site_without_the_files_and_no_site(site: Site, small: Files) -> None:
    with pytest.raises(DatasetError, match="404"):
        load("fashion", url=site.url)
    with pytest.raises(DatasetError, match=r"download from http://127\.0\.0\.1:1 failed"):
        load("fashion", url="http://127.0.0.1:1")
    with pytest.raises(DatasetError, match="download from nowhere failed"):
        load("fashion", url="nowhere")
    with pytest.raises(DatasetError, match="'url' must be"):
        load("fashion", url=5)


def test_found_in_the_system_folder(tmp_path: Path, small: Files, fill: Fill) -> None:
    fill(tmp_path / "system", small)
    assert load("fashion").n_samples == 10


def test_without_pooch(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetError, match=r"pip install 'mgdhw\[data\]'") as caught:
        load("fashion")
    for hint in (str(cache), "idx:PATH", "train-images-idx3-ubyte.gz"):
        assert hint in str(caught.value)


def test_a_label_beyond_the_ten(tmp_path: Path, small: Files, fill: Fill, encode: Callable[[Any], bytes]) -> None:
    fill(tmp_path / "system", small | {"t10k-labels-idx1-ubyte.gz": encode(np.array([0, 1, 2, 10], np.uint8))})
    with pytest.raises(DatasetError, match=r"has a label 10; expected 0\.\.9"):
        load("fashion")
