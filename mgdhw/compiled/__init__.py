"""Machine code, by numba: kernels that host and simulated chips share (`kernels`), and the cache that keeps them.

Nothing here is imported before it is used: numba takes a while, and small work doesn't need it.
"""
