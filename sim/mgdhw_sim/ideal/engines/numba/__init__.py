"""The engine that numba compiles, for CPUs: sixteen samples side by side, however few channels there are."""
