"""A board at the end of a line, with emulated faults and resets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mgdhw.device import Device
from mgdhw_drivers.protocol.frames import SMALLEST_PAYLOAD
from mgdhw_drivers.server.board import Board
from mgdhw_drivers.server.fault_injection import Damage, FaultInjector, Faults
from mgdhw_drivers.server.limits import NO_LIMITS, Limits
from mgdhw_drivers.server.line_emulation import BITS_PER_BYTE, FaultyLine, PacedLine

log = logging.getLogger("mgdhw.serve")

LARGEST_PAYLOAD = 1 << 14
FRAME_SECONDS = 0.05
"""How long a frame may take on a slow line."""
WATCH_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Line:
    """How the line is.

    Args:
        baud: its speed; 0: as fast as it goes.
        faults: what goes wrong on it.
        seed: of the faults.
    """

    baud: int = 0
    faults: Faults = Faults()  # noqa: RUF009 (frozen)
    seed: int = 0

    @property
    def max_payload(self) -> int:
        """Longest payload that a board at such a line takes."""
        if not self.baud:
            return LARGEST_PAYLOAD
        return max(SMALLEST_PAYLOAD, min(LARGEST_PAYLOAD, int(self.baud / BITS_PER_BYTE * FRAME_SECONDS)))


class Endpoint:
    """Serves a device to one host at a time.

    Args:
        device: what is served.
        line: how the line is.
        limits: on how its parameters move.
    """

    def __init__(self, device: Device, line: Line, limits: Limits = NO_LIMITS) -> None:
        self.device = device
        self._line = line
        self._limits = limits
        self._into = FaultInjector(line.faults, line.seed, "to the board")
        self._out = FaultInjector(line.faults, line.seed, "to the host")
        self._board: Board | None = None
        self._stages: list[PacedLine | FaultyLine] = []
        self._backlogs: set[str] = set()
        """Where answers wait: nothing more is measured before the host has read them."""
        self._entry: Callable[[bytes], None] | None = None
        self._hang_up: Callable[[], None] = _nothing
        self._hangs_up = False
        self._watch: asyncio.Task[None] | None = None
        self._rebooting: asyncio.Task[None] | None = None
        self._write: Callable[[bytes], None] | None = None
        self.away = 0.0
        """Loop time until which the board is unplugged."""

    @property
    def occupied(self) -> bool:
        """Whether a host is connected."""
        return self._entry is not None

    async def start(self) -> None:
        """Power on. Raises DeviceUnavailable, ConfigError."""
        self._board = await self._new_board()
        self._watch = asyncio.create_task(self._watching(), name="dead-man")

    async def stop(self) -> None:
        """Safe state, and power off."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        if self._rebooting is not None:  # half-way it would leave a board that is not stopped
            await asyncio.wait([self._rebooting])
        self._forget_line()
        if self._board is not None:
            await self._board.stop()
        elif self._watch is not None:  # a reboot has failed
            await self.device.close()

    def connected(self, write: Callable[[bytes], None], hang_up: Callable[[], None], *, hangs_up: bool = False) -> None:
        """A host has connected.

        Args:
            write: sends bytes to it.
            hang_up: ends the connection at once.
            hangs_up: whether that is done, too, when the host says nothing for too long, so that others can come.
        """
        self._hang_up, self._write, self._hangs_up = hang_up, write, hangs_up
        out: Callable[[bytes], None] = write
        into: Callable[[bytes], None] = self._to_board
        if self._line.baud:
            paced = PacedLine(self._line.baud, out, partial(self._set_backlog, "on the line"))
            self._stages.append(paced)
            out = paced.feed
        if self._line.faults != Faults():
            faulty = FaultyLine(self._out, out, _unharmed)
            harmful = FaultyLine(self._into, into, self._apply_damage)
            self._stages += [faulty, harmful]
            out, into = faulty.feed, harmful.feed
        if self._line.baud:
            incoming = PacedLine(self._line.baud, into)
            self._stages.append(incoming)
            into = incoming.feed
        self._entry = into
        self._out_entry = out
        if self._board is not None:
            self._board.connected(out)

    def hang_up_when_silent(self, wanted: bool) -> None:
        """Whether the connection is ended when the host says nothing for too long."""
        self._hangs_up = wanted

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        if self._entry is not None:
            self._entry(data)

    def pause(self) -> None:
        """The host does not read what it is sent."""
        self._set_backlog("unread", True)

    def resume(self) -> None:
        """It reads again."""
        self._set_backlog("unread", False)

    def disconnected(self) -> None:
        """The host has disconnected."""
        self._forget_line()
        if self._board is not None:
            self._board.disconnected()

    # --- what happens to it --------------------------------------------------------------------------------------

    def _to_board(self, data: bytes) -> None:
        if self._board is not None:  # else it is starting, and deaf
            self._board.received(data)

    def _apply_damage(self, damage: Damage) -> None:
        if damage.reboot and self._rebooting is None:
            log.info("reboot")
            self._rebooting = asyncio.create_task(self._reboot(), name="reboot")
        if damage.unplug:
            log.info("unplugged")
            loop = asyncio.get_running_loop()
            self.away = loop.time() + self._line.faults.away
            loop.call_soon(self._hang_up)

    def _set_backlog(self, where: str, has_backlog: bool) -> None:
        (self._backlogs.add if has_backlog else self._backlogs.discard)(where)
        if self._board is not None and self._backlogs:
            self._board.pause()
        elif self._board is not None:
            self._board.resume()

    async def _reboot(self) -> None:
        board, self._board = self._board, None
        try:
            if board is not None:
                await board.stop()
            self._board = await self._new_board()
        except Exception:  # a board that cannot start is deaf, until it is rebooted once more
            log.exception("%s does not come back from its reboot", self.device.uri)
            return
        finally:
            self._rebooting = None
        if self.occupied:
            self._board.connected(self._out_entry)
            if self._backlogs:
                self._board.pause()

    async def _new_board(self) -> Board:
        board = Board(self.device, self._line.max_payload, self._limits)
        await board.start()
        return board

    async def _watching(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(WATCH_SECONDS)
            if self._board is not None:
                over = self._board.listened(min(loop.time() - began, 2 * WATCH_SECONDS))
                if over and self._hangs_up:
                    self._hang_up()

    def _forget_line(self) -> None:
        for stage in self._stages:
            stage.stop()
        self._stages.clear()
        self._entry = None
        self._backlogs.clear()
        self._hang_up = _nothing


def _nothing() -> None:
    """Nobody is connected."""


def _unharmed(damage: Damage) -> None:
    """Frames to the host harm the board in no way."""
