"""Figures of Oripov et al., APL Machine Learning 3, 026107 (2025), made with mgdhw and set beside published values.

Networks are ideal ones, found by their address, `sim:ideal-fashion?d=...`, as every device is.
"""
