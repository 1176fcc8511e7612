"""The instruments of a rack, simulated: which kind each of them is follows from what the rack does with it."""

from __future__ import annotations

from collections.abc import Sequence

from mgdhw.errors import ConfigError
from mgdhw_drivers.bench.groups import ChannelGroup, LevelGroup, OutputGroup
from mgdhw_drivers.bench.rack import Blocks, Instrument, Rack
from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.cost_meter import CostMeter
from mgdhw_drivers.bench.simulate.dialect import teach
from mgdhw_drivers.bench.simulate.digitizer import Digitizer, Scope
from mgdhw_drivers.bench.simulate.faults import FaultInjector, Faults
from mgdhw_drivers.bench.simulate.generator import WaveformGenerator
from mgdhw_drivers.bench.simulate.instrument import SimulatedInstrument
from mgdhw_drivers.bench.simulate.meter import Multimeter
from mgdhw_drivers.bench.simulate.sources import MultichannelSource, SourceMeasureUnit
from mgdhw_drivers.bench.simulate.trigger import TriggerLine
from mgdhw_drivers.bench.templates import placeholders


def simulated_instruments(rack: Rack, chip: SimulatedChip, faults: Faults, seed: int) -> list[SimulatedInstrument]:
    """One for every instrument of a rack, in its order.

    Raises:
        ConfigError: channels that are no numbers.
    """
    line = TriggerLine(chip)
    found = []
    for name, (_, settings) in rack.resources().items():
        instrument = _simulated(rack, name, settings, chip, FaultInjector(faults, seed, name), line)
        teach(instrument, rack)
        found.append(instrument)
    return found


def _simulated(
    rack: Rack, name: str, settings: Instrument, chip: SimulatedChip, faults: FaultInjector, line: TriggerLine
) -> SimulatedInstrument:
    identity = settings.identity
    set_here = [group for _, _, group in rack.channel_groups() if name in rack.members(group.instrument)]
    read_here = [group for group in rack.outputs if name in rack.members(group.instrument)]
    _check_channels(name, [*set_here, *read_here])
    if any(group.waveform or (isinstance(group, LevelGroup) and group.upload) for group in set_here):
        generator = WaveformGenerator(name, identity, chip, faults, line)
        _set_formats(generator, rack.blocks, [group for group in set_here if isinstance(group, LevelGroup)])
        return generator
    if set_here and (read_here or not any(_names_channels(group.write) for group in set_here)):
        return SourceMeasureUnit(name, identity, chip, faults)
    if set_here:
        return MultichannelSource(name, identity, chip, faults)
    if any(group.record for group in read_here):
        return Digitizer(name, identity, chip, faults, line)
    if any(group.format == "block" or group.points > 1 for group in read_here):
        return Scope(name, identity, chip, faults, line)
    if rack.cost.instrument is not None and name in rack.members(rack.cost.instrument):
        return CostMeter(name, identity, chip, faults, rack.cost)
    return Multimeter(name, identity, chip, faults)


def _check_channels(name: str, groups: Sequence[ChannelGroup | OutputGroup]) -> None:
    for group in groups:
        for channel in group.channels:
            if not channel.isdecimal() or int(channel) < 1:
                raise ConfigError(f"{name}: channel {channel} cannot be simulated; expected numbers from 1 on")


def _names_channels(template: str) -> bool:
    return bool({"channel", "channels"} & set(placeholders(template)))


def _set_formats(generator: WaveformGenerator, blocks: Blocks | None, inputs: list[LevelGroup]) -> None:
    """What the numbers in its waveforms are, which no command says."""
    if blocks is not None:
        generator.volatile_format = (blocks.dtype, blocks.byte_order, blocks.unit)
    for group in inputs:
        if group.upload:
            generator.named_format = (group.dtype, group.byte_order, 1.0)
