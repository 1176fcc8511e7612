"""What numba compiles: vectors, random numbers and sums that host and simulated chips share."""
