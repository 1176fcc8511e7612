"""The link between host and board, without I/O: bytes in, messages out. `docs/link.md` defines it."""
