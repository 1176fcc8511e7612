"""How kernels are compiled."""

from __future__ import annotations

from typing import Any

ENTRY: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "no_cfunc_wrapper": True,
}
"""For kernels that Python calls. They allocate nothing, so they need none of numba's counting of references, which
costs more than their work."""
JIT: dict[str, Any] = {**ENTRY, "no_cpython_wrapper": True}
"""For kernels that only kernels call: what unpacks arguments from Python takes longer to compile than most of them."""
INLINE: dict[str, Any] = {**JIT, "forceinline": True}
"""For what is called for every sample: a call would copy every field of every tuple that it is given."""
