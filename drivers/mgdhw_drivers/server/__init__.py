"""Serving any device over a stream of bytes: the board's end of the link, in Python."""
