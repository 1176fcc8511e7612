"""Ideal networks: floating point, dense layers, convolutions and pooling. `docs/ideal.md` is their description."""
