"""The host's end of a link: the link with its clock, the session with a board, and the board as a device."""
