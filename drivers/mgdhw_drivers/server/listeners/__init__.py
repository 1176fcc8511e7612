"""Where hosts come in: a TCP port of this machine, a Unix socket, a pseudo-terminal, a serial port."""

from mgdhw_drivers.server.listeners.listener import Listener
from mgdhw_drivers.server.listeners.pty import PtyListener
from mgdhw_drivers.server.listeners.serial import SerialListener
from mgdhw_drivers.server.listeners.tcp import TcpListener
from mgdhw_drivers.server.listeners.unix import UnixListener

__all__ = ["Listener", "PtyListener", "SerialListener", "TcpListener", "UnixListener"]
