"""A rehearsal of a rack: SCPI servers for its instruments, wired to one simulated chip. See `command`."""
