"""Exit codes of the command."""

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
EXIT_CODES = (
    "Exit codes: 0 success, 1 error (with a message), a device that cannot be trained, or an open interlock, 2 wrong"
    " usage, 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by a closed terminal; stopped training can be resumed."
)
