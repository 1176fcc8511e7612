"""The dataset that a served device has: made from the areas that a host has written."""

from __future__ import annotations

from mgdhw.concurrency.background import BackgroundWorker
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw_drivers.protocol.description import Head
from mgdhw_drivers.protocol.messages import Load
from mgdhw_drivers.protocol.numbers import Area, MismatchedItem
from mgdhw_drivers.protocol.samples import dataset_of, sealed, sizes
from mgdhw_drivers.server.areas import DATASET, Memory, Mismatch
from mgdhw_drivers.server.hardware import by_the_device

HEAVY_BYTES = 1 << 18
"""From so many bytes on a dataset is made in a thread."""


class Datasets:
    """What LOAD has made of areas INPUTS and TARGETS.

    Args:
        device: which takes the dataset.
        memory: the areas.
        head: their form.
    """

    def __init__(self, device: Device, memory: Memory, head: Head) -> None:
        self.crc = 0
        """Checksum of what the device has; 0: nothing."""
        self._device, self._memory, self._head = device, memory, head
        self._heavy = BackgroundWorker()
        self._load: Load | None = None
        self._dataset: Dataset | None = None

    @property
    def n_samples(self) -> int:
        """Of the dataset that the device has."""
        return 0 if self._dataset is None else self._dataset.n_samples

    async def load(self, load: Load) -> None:
        """Give the device what the areas hold. Raises Mismatch, LinkCorrupt if that is no dataset, DeviceTrouble."""
        if self.crc and load == self._load:
            return
        inputs, targets = sizes(load, self._head.n_inputs, self._head.n_outputs)
        memory = self._memory
        if memory.written(Area.INPUTS) < inputs or memory.written(Area.TARGETS) < targets:
            raise Mismatch(MismatchedItem.DATASET)
        views = memory.view(Area.INPUTS, inputs), memory.view(Area.TARGETS, targets)
        if inputs + targets < HEAVY_BYTES:
            dataset = _make(load, *views, self._head)
        else:
            dataset = await self._heavy.do(_make, load, *views, self._head)
        self.crc, self._load, self._dataset = 0, None, None  # ended in the middle, nobody knows what the device has
        await self._give(dataset)
        self.crc, self._load, self._dataset = load.crc, load, dataset

    async def give_again(self) -> None:
        """Give it to a device that has just been opened."""
        if self._dataset is not None:
            await self._give(self._dataset)

    def changed(self) -> None:
        """The host has written to the areas: the device has what nobody asks for any more."""
        self.crc, self._load, self._dataset = 0, None, None

    def forget_rest(self) -> None:
        """Give back the memory of areas that were written to, but never became a dataset."""
        if not self.crc:
            self._memory.forget(DATASET)

    async def _give(self, dataset: Dataset) -> None:
        with by_the_device():
            await self._device.load(dataset)


def _make(load: Load, inputs: memoryview, targets: memoryview, head: Head) -> Dataset:
    if sealed(load, inputs, targets).crc != load.crc:
        raise Mismatch(MismatchedItem.DATASET)
    return dataset_of(load, inputs, targets, head)
