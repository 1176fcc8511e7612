"""Devices at the other end of a link: transports, the link with its clock, and the device itself."""
