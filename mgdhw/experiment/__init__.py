"""Experiments: their schema and files, changes to them, and what they name."""
