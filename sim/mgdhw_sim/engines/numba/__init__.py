"""The engine that numba compiles: kernels on explicit vectors (`kernels/`), for ideal and for nonideal chips."""
