"""Measures the server, each figure as a ratio within one run on one machine."""
