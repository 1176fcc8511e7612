"""Machine code, by numba: vectors, random numbers and sums that host and simulated chips share, and where it is kept.

Nothing here is imported before it is used: numba takes a while, and small work doesn't need it.
"""
