"""Racks of ordinary instruments, described in a TOML file, as a device: `bench:RACK.toml`."""
