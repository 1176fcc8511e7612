"""The engine that numba compiles: kernels on explicit vectors, for ideal and for imperfect chips."""
