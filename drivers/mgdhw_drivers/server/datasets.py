"""The dataset that a served device has: made from the areas that a host has written."""

from __future__ import annotations

from mgdhw.concurrency.background import BackgroundWorker
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw_drivers.protocol.description import Head
from mgdhw_drivers.protocol.messages import Load
from mgdhw_drivers.protocol.numbers import Area, MismatchedItem
from mgdhw_drivers.protocol.samples import dataset_of, sealed, sizes
from mgdhw_drivers.server.areas import DATASET, Areas, Mismatch
from mgdhw_drivers.server.hardware import device_errors

HEAVY_BYTES = 1 << 18
"""From so many bytes on a dataset is made in a thread."""


class Datasets:
    """What LOAD has made of areas INPUTS and TARGETS.

    Args:
        device: which takes the dataset.
        areas: what hosts have written.
        head: their form.
    """

    def __init__(self, device: Device, areas: Areas, head: Head) -> None:
        self.crc = 0
        """Checksum of what the device has; 0: nothing."""
        self._device, self._areas, self._head = device, areas, head
        self._heavy = BackgroundWorker()
        self._load: Load | None = None
        self._dataset: Dataset | None = None

    @property
    def n_samples(self) -> int:
        """Of the dataset that the device has."""
        return 0 if self._dataset is None else self._dataset.n_samples

    async def load(self, load: Load) -> None:
        """Give the device what the areas hold. Raises Mismatch, LinkCorrupt if that is no dataset, DeviceFailed."""
        if self.crc and load == self._load:
            return
        inputs, targets = sizes(load, self._head.n_inputs, self._head.n_outputs)
        areas = self._areas
        if areas.written(Area.INPUTS) < inputs or areas.written(Area.TARGETS) < targets:
            raise Mismatch(MismatchedItem.DATASET)
        views = areas.view(Area.INPUTS, inputs), areas.view(Area.TARGETS, targets)
        if inputs + targets < HEAVY_BYTES:
            dataset = _make(load, *views, self._head)
        else:
            dataset = await self._heavy.do(_make, load, *views, self._head)
        self.crc, self._load, self._dataset = 0, None, None  # ended in the middle, it is not known what the device has
        await self._give(dataset)
        self.crc, self._load, self._dataset = load.crc, load, dataset

    async def reload(self) -> None:
        """Load it into a device that has just been opened."""
        if self._dataset is not None:
            await self._give(self._dataset)

    def changed(self) -> None:
        """The host has written to the areas: what the device has is out of date."""
        self.crc, self._load, self._dataset = 0, None, None

    def clear_unused(self) -> None:
        """Give back the areas of areas that were written to, but never became a dataset."""
        if not self.crc:
            self._areas.clear(DATASET)

    async def _give(self, dataset: Dataset) -> None:
        with device_errors():
            await self._device.load(dataset)


def _make(load: Load, inputs: memoryview, targets: memoryview, head: Head) -> Dataset:
    if sealed(load, inputs, targets).crc != load.crc:
        raise Mismatch(MismatchedItem.DATASET)
    return dataset_of(load, inputs, targets, head)
