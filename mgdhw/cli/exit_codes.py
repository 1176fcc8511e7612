"""Exit codes of the command."""

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
EXIT_CODES = (
    "Exit codes: 0 success, 1 error (with a message) or a device that cannot be trained, 2 wrong usage, 130 stopped by"
    " Ctrl-C, 143 by SIGTERM, 129 by a closed terminal; stopped training can be resumed."
)
