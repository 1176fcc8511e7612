"""What other packages contribute may be broken, and must break nothing else."""

from __future__ import annotations


def why(error: Exception) -> str:
    """What is wrong with a contribution, in one line."""
    message = " ".join(str(error).split())
    return message if message and isinstance(error, ImportError) else f"{type(error).__name__}: {message}"
