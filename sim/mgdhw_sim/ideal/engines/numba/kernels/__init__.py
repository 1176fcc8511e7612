"""What numba compiles for ideal networks."""
