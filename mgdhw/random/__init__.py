"""Random numbers by counters: Philox, Gaussian noise in integers, and the order of samples."""
