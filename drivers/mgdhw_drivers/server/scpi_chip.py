"""A board as an SCPI instrument: the subsystem `MGD`, documented in `docs/scpi.md`."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.datasets import Dataset
from mgdhw_drivers.client.info import form_of
from mgdhw_drivers.protocol import values
from mgdhw_drivers.protocol.blocks import block_of
from mgdhw_drivers.protocol.checks import check_infer, check_probe
from mgdhw_drivers.protocol.claims import limits_of
from mgdhw_drivers.protocol.description import Description
from mgdhw_drivers.protocol.messages import Identify, Infer, Load, Measure, Probe, Set, Snapshot
from mgdhw_drivers.protocol.numbers import BASELINES, FAMILY_NUMBERS, GROUPS, Area, Type
from mgdhw_drivers.protocol.parameters import ParameterForm
from mgdhw_drivers.protocol.samples import samples_of
from mgdhw_drivers.protocol.values import Gathered
from mgdhw_drivers.scpi import Call, DataType, Reply, ScpiError, ScpiInstrument
from mgdhw_drivers.scpi.arguments import Block as BlockArgument
from mgdhw_drivers.scpi.arguments import String
from mgdhw_drivers.server.loopback import Loopback
from mgdhw_drivers.server.scpi_operations import Failed, PendingOperation

MOST_SAMPLES = 1 << 16
"""Numbers of samples in one command."""
LARGEST = 1 << 53
"""Integers above are sent in quotes: numbers of SCPI are floats."""
VALUES = (Type.INFER, Type.PROBE)
"""Requests that are answered by arrays."""
LONGEST_VALUES = 1 << 20
"""Bytes of values in a block of the answer to MGD:REQuest?; there are as many blocks as needed."""

Work = Callable[[Call], Coroutine[Any, Any, Reply]]


class ScpiChip(ScpiInstrument):
    """One SCPI connection to a board.

    Args:
        loopback: the host's end of the link to it, connected.
        description: what it has said of itself.
        version: of this program, for `*IDN?`.
    """

    def __init__(self, loopback: Loopback, description: Description, version: str) -> None:
        super().__init__(",".join(map(_word, ("mgdhw", description.model, description.identity, version))))
        self._loopback, self._description, self._head = loopback, description, description.head
        self._operation = PendingOperation()
        self._form: ParameterForm | None = None
        self._n_train = 0
        self._add_commands()

    def _add_commands(self) -> None:
        add, run = self.tree.add, self._running
        add("MGD:DESCription?", lambda call: self._description.pack())
        add("MGD:INFO?", lambda call: self._description.details.encode())
        add("MGD:LIMits?", run(self._limits))
        add("MGD:PARameters", run(self._set), (1, None))
        add("MGD:PARameters?", run(self._get))
        add("MGD:DATaset", run(self._load), 3)
        add("MGD:COST?", run(self._cost), (1, MOST_SAMPLES))
        add("MGD:INFer?", run(self._infer), (1, MOST_SAMPLES))
        add("MGD:PROBe?", run(self._probe), (1, 11))
        add("MGD:LEARn?", self._learn, 1)
        add("MGD:SNAPshot?", run(self._snapshot))
        add("MGD:RESTore", run(self._restore), 1)
        add("MGD:SAFE", lambda call: self._operation.begin(self._safe()))
        add("MGD:SAFE?", lambda call: self._operation.begin(self._safe()))
        add("MGD:REQuest?", self._request, 2)
        add("MGD:PATience", self._set_patience, 1)
        add("MGD:FETCh?", lambda call: _answered(self._operation.fetch()))

    # --- what every instrument has --------------------------------------------------------------------------------

    def reset(self) -> Awaitable[None] | None:
        super().reset()
        return self._reset()

    def complete(self) -> Awaitable[None] | None:
        return None  # every operation is over when the next message is read

    async def end(self) -> None:
        """The host has gone."""
        await self._operation.end()

    async def _reset(self) -> None:
        self._operation.patience = None
        await self._operation.begin(self._safe())

    def _running(self, work: Work) -> Callable[[Call], Awaitable[Reply]]:
        """A handler that does work as the operation that is under way."""
        return lambda call: self._operation.begin(work(call))

    def _set_patience(self, call: Call) -> None:
        seconds = call.number(unit="S", low=0.0, high=9.9e37)
        self._operation.patience = None if seconds > 1e6 else seconds

    # --- parameters ----------------------------------------------------------------------------------------------

    async def _limits(self, call: Call) -> Reply:
        form = await self._parameter_form()
        return np.concatenate([np.broadcast_to(one, form.count) for one in (form.low, form.high, form.lsb)])

    async def _set(self, call: Call) -> None:
        form = await self._parameter_form()
        theta = self._numbers(call, 0)
        if theta.size != form.count:
            raise ScpiError(-220, f"{theta.size} values; expected {form.count}")
        outside = ~((theta >= form.low) & (theta <= form.high))
        if outside.any():
            raise ScpiError(-222, f"parameter {int(np.argmax(outside))} is outside of its limits")
        content = form.encode(theta)
        requests = self._loopback.writes(Area.REQUESTED, content)
        await self._loopback.ask([*requests, (Type.SET, Set(0, zlib.crc32(content)).pack())])

    async def _get(self, call: Call) -> Reply:
        form = await self._parameter_form()
        return form.decode(await self._loopback.read(Area.HELD, form.count * form.size))

    async def _parameter_form(self) -> ParameterForm:
        if self._form is None:
            head = self._head
            raw = None
            if head.per_parameter:
                raw = await self._loopback.read(Area.LIMITS, 24 * head.n_parameters, take=False)
            limits = limits_of(self._description, raw)
            self._form = form_of(head.parameter_kind, head.n_parameters, limits)
        return self._form

    # --- data and measurements -----------------------------------------------------------------------------------

    async def _load(self, call: Call) -> None:
        head = self._head
        n_train = call.integer(0, low=1, high=1 << 30)
        inputs, targets = self._block_of_numbers(call, 1), self._block_of_numbers(call, 2)
        if inputs.size % head.n_inputs or inputs.size // head.n_inputs * head.n_outputs != targets.size:
            raise ScpiError(
                -220,
                f"{inputs.size} inputs and {targets.size} targets; each sample has {head.n_inputs}, {head.n_outputs}",
            )
        shaped = inputs.reshape(-1, head.n_inputs)
        samples = samples_of(Dataset("scpi", shaped, 1.0, targets.reshape(-1, head.n_outputs), n_train), head)
        writes = self._loopback.writes(Area.INPUTS, samples.inputs) + self._loopback.writes(
            Area.TARGETS, samples.targets
        )
        await self._loopback.ask([*writes, (Type.LOAD, samples.load.pack())])
        self._n_train = n_train

    async def _cost(self, call: Call) -> Reply:
        crc, count = await self._send_samples(call)
        held = await self._loopback.held()
        asked = Measure(0, 0, count, crc, held.theta_crc, held.dataset_crc)
        (answer,) = await self._loopback.ask([(Type.MEASURE, asked.pack())])
        gathered = Gathered(1)
        gathered.take(answer)
        number: int | float = gathered.values()[0].item()
        return number

    async def _infer(self, call: Call) -> Reply:
        if len(call.arguments) == 1 and isinstance(call.arguments[0], BlockArgument):
            return self._in_units(await self._values(Type.INFER, call.block(0)))
        crc, count = await self._send_samples(call)
        held = await self._loopback.held()
        asked = Infer(0, count, crc, held.theta_crc, held.dataset_crc)
        return self._in_units(await self._values(Type.INFER, asked.pack()))

    async def _probe(self, call: Call) -> Reply:
        if len(call.arguments) == 1:
            return await self._values(Type.PROBE, call.block(0))
        count = len(call.arguments)

        def whole(index: int, default: int, high: int = 1 << 64) -> int:
            return _integer(call, index, high) if count > index else default

        def word(index: int, words: tuple[str, ...]) -> int:
            chosen = call.name(index).lower() if count > index else words[0]
            if chosen not in words:
                raise ScpiError(-224, f"{chosen}; expected {', '.join(words)}")
            return words.index(chosen)

        family = call.name(2).lower() if count > 2 else "random"
        if family not in FAMILY_NUMBERS:
            raise ScpiError(-224, f"{family}; expected {', '.join(FAMILY_NUMBERS)}")
        if not self._n_train:
            raise ScpiError(-221, "load a dataset first: MGD:DATaset")
        held = await self._loopback.held()
        asked = Probe(
            first_step=whole(0, 0),
            n_probes=whole(1, 1, 1 << 31),
            family=FAMILY_NUMBERS[family],
            code_seed=whole(3, 0),
            amplitude=whole(4, 1, 1 << 15),
            batch=whole(5, 1, 1 << 16),
            order_seed=whole(6, 0),
            tau_x=whole(7, 1, 1 << 31),
            baseline=word(8, BASELINES),
            groups=word(9, GROUPS),
            code_parameter=call.number(10) if count > 10 else 0.0,
            held_value=bytes(8),
            held_step=0,
            flags=0,
            order_n=self._n_train,
            theta_crc=held.theta_crc,
            dataset_crc=held.dataset_crc,
        )
        return await self._values(Type.PROBE, asked.pack())

    async def _send_samples(self, call: Call) -> tuple[int, int]:
        """Checksum and number of the samples that a command names."""
        samples = call.numbers(low=0, high=float((1 << 32) - 1)).astype("<u4")
        content = samples.tobytes()
        await self._loopback.ask(self._loopback.writes(Area.SAMPLES, content))
        return zlib.crc32(content), samples.size

    async def _values(self, kind: Type, payload: bytes, *, take: bool = True) -> NDArray[Any]:
        """The values that answer PROBE or INFER, as the board has them."""
        head = self._head
        if kind is Type.PROBE:
            probe = Probe.unpack(payload)
            check_probe(probe, head)
            wanted = block_of(probe, floats=bool(head.float_costs)).evaluations()
            return await self._loopback.values(kind, payload, wanted, take=take)
        infer = Infer.unpack(payload)
        check_infer(infer, head)
        return await self._loopback.values(kind, payload, infer.count * head.n_outputs, take=take)

    def _in_units(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Outputs of INFER, which may be codes."""
        return outputs if outputs.dtype == np.float64 else outputs * self._head.output_lsb

    # --- the rest ------------------------------------------------------------------------------------------------

    async def _safe(self) -> Reply:
        await self._loopback.ask([(Type.SAFE, b"")], take=False)
        return 1

    def _learn(self, call: Call) -> Awaitable[Reply]:
        payload = call.block(0)
        return self._operation.begin(self._ask(Type.LEARN, payload, take=True), payload)

    async def _snapshot(self, call: Call) -> Reply:
        (answer,) = await self._loopback.ask([(Type.SNAPSHOT, b"")])
        return await self._loopback.read(Area.CELLS, Snapshot.unpack(answer).size)

    async def _restore(self, call: Call) -> None:
        content = call.block(0)
        restore = Snapshot(len(content), zlib.crc32(content)).pack()
        await self._loopback.ask([*self._loopback.writes(Area.CELLS, content), (Type.RESTORE, restore)])

    def _request(self, call: Call) -> Awaitable[Reply]:
        number, payload = call.integer(0, low=0, high=255), call.block(1)
        if number not in set(Type) - {Type.FAULT, Type.ERROR}:
            raise ScpiError(-224, f"there is no request {number}")
        kind = Type(number)
        key = payload if kind is Type.LEARN else None
        return _answered(self._operation.begin(self._ask(kind, payload, take=False), key))

    async def _ask(self, kind: Type, payload: bytes, *, take: bool) -> Reply:
        if kind in VALUES:
            return tuple(values.pack(0, await self._values(kind, payload, take=take), LONGEST_VALUES, last=True))
        if kind is Type.IDENTIFY:
            return (await self._loopback.identify(Identify.unpack(payload))).pack()
        if kind is Type.LOAD:
            self._n_train = Load.unpack(payload).n_train
        (answer,) = await self._loopback.ask([(kind, payload)], take=take)
        return answer

    # --- arguments -----------------------------------------------------------------------------------------------

    def _numbers(self, call: Call, start: int) -> FloatArray:
        """Numbers as a list, or in a block."""
        if isinstance(call.arguments[start], BlockArgument):
            return self._block_of_numbers(call, start)
        return call.numbers(start)

    def _block_of_numbers(self, call: Call, index: int) -> FloatArray:
        if self.format.type is DataType.ASCII:
            raise ScpiError(-221, "say which numbers are in the block: FORMat REAL,32 for example")
        return np.asarray(self.format.from_block(call.block(index)), dtype=np.float64)


async def _answered(work: Awaitable[Reply]) -> Reply:
    """The answer, which an error is as well: programs that wait for one are to get one."""
    try:
        return await work
    except Failed as error:
        return error.answer


def _integer(call: Call, index: int, high: int) -> int:
    """An integer of up to 64 bits, below `high`; a large one in quotes."""
    argument = call.arguments[index]
    if not isinstance(argument, String):
        return call.integer(index, low=0, high=min(high - 1, LARGEST))
    if not (argument.text.isascii() and argument.text.isdecimal()) or int(argument.text) >= high:
        raise ScpiError(-222, f"{argument.text}; expected 0 ... {high - 1}")
    return int(argument.text)


def _word(text: str) -> str:
    """Text as a field of the answer to `*IDN?`."""
    return "".join(c if " " <= c <= "~" and c not in ",;\"'" else "_" for c in text).strip() or "0"
