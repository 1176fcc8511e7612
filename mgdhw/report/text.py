"""Text files that people write with whatever editor they have."""

from __future__ import annotations

import codecs
from pathlib import Path

from mgdhw.errors import ConfigError


def decode(content: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 that says so by its first bytes: Windows PowerShell's `>` writes that.

    A byte order mark is no part of the text; Notepad puts one before UTF-8.

    Raises:
        UnicodeDecodeError: it is no such text.
    """
    has_utf16_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if has_utf16_mark else "utf-8-sig")


def read_text(path: Path, *, if_absent: str, if_folder: str = "") -> str:
    """The text of a file of settings.

    Args:
        path: the file.
        if_absent: how to get one, for the error where there is none.
        if_folder: what follows in the error where it is a folder; empty: what the system says.

    Raises:
        ConfigError: it cannot be read, or is no text.
    """
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; {if_absent}") from None
    except OSError as error:
        if if_folder and isinstance(error, IsADirectoryError):
            raise ConfigError(f"{path} is a folder{if_folder}") from None
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file; expected TOML in UTF-8") from None
    except ValueError as error:  # NUL
        raise ConfigError(f"{path}: is the name of no file: {error}") from None


def unwritable(text: str) -> str | None:
    """What of a text cannot be written as UTF-8, as an escape; None: all can.

    Names of files and folders are bytes to a system: Python keeps those that are no UTF-8 as lone surrogates.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return readable(text[error.start : error.end])
    return None


def readable(name: str) -> str:
    """The name of a file as text that can be written: what is no UTF-8 becomes an escape."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
