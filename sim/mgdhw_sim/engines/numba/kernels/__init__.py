"""The functions that numba compiles, and the named tuples of arrays that they take."""
