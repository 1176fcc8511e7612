"""The `mgdhw` command."""
