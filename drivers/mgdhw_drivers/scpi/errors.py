"""The standard errors of SCPI-99, volume 2, chapter 21.8, and the event bits that each class of them sets."""

from __future__ import annotations

from typing import Final

STANDARD_TEXTS: Final[dict[int, str]] = {
    0: "No error",
    -100: "Command error",
    -101: "Invalid character",
    -102: "Syntax error",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -110: "Command header error",
    -111: "Header separator error",
    -112: "Program mnemonic too long",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -120: "Numeric data error",
    -121: "Invalid character in number",
    -123: "Exponent too large",
    -124: "Too many digits",
    -128: "Numeric data not allowed",
    -130: "Suffix error",
    -131: "Invalid suffix",
    -134: "Suffix too long",
    -138: "Suffix not allowed",
    -140: "Character data error",
    -141: "Invalid character data",
    -144: "Character data too long",
    -148: "Character data not allowed",
    -150: "String data error",
    -151: "Invalid string data",
    -158: "String data not allowed",
    -160: "Block data error",
    -161: "Invalid block data",
    -168: "Block data not allowed",
    -170: "Expression error",
    -171: "Invalid expression",
    -178: "Expression data not allowed",
    -200: "Execution error",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -220: "Parameter error",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -240: "Hardware error",
    -241: "Hardware missing",
    -256: "File name not found",
    -300: "Device-specific error",
    -310: "System error",
    -321: "Out of memory",
    -330: "Self-test failed",
    -350: "Queue overflow",
    -360: "Communication error",
    -363: "Input buffer overrun",
    -365: "Time out error",
    -400: "Query error",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
    -430: "Query DEADLOCKED",
    -440: "Query UNTERMINATED after indefinite response",
}
LONGEST_TEXT: Final = 255
"""Characters of an error's text and detail together, as the standard bounds them."""


class ScpiError(Exception):
    """An error for an instrument's error queue. Raised by handlers, it never leaves the interpreter.

    Args:
        code: a standard code, below 0, or one of the instrument's own, above 0.
        detail: what it is about, shown after the standard text.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        text = STANDARD_TEXTS.get(code, "Device-specific error" if code > 0 else "Command error")
        super().__init__(f"{text};{detail}" if detail else text)
        self.code = code

    @property
    def text(self) -> str:
        """Text and detail as they are queued: printable ASCII of at most 255 characters."""
        shown = "".join(c if " " <= c <= "~" else "?" for c in str(self))
        return shown[:LONGEST_TEXT]


def event_bit(code: int) -> int:
    """Bit of the standard event status register that an error sets (IEEE 488.2, 11.5.1)."""
    if code > 0:
        return 1 << 3
    return 1 << {1: 5, 2: 4, 3: 3, 4: 2, 5: 7, 6: 6, 7: 1, 8: 0}.get(-code // 100, 3)
