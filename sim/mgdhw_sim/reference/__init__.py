"""The chip as docs/chip.md defines it, to be read: slow, and what every engine is compared with."""
