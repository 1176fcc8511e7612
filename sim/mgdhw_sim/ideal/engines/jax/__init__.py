"""The engine that JAX compiles: whole stretches of training in one call, on CPU and GPU."""
