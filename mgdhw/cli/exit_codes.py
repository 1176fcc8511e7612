"""What the command exits with."""

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
EXIT_CODES = (
    "Exit codes: 0 done, 1 an error (which is explained) or a device that cannot be trained, 2 wrong usage, 130 stopped"
    " by Ctrl-C, 143 by SIGTERM, 129 by a terminal that went away; a training that was stopped can be resumed."
)
