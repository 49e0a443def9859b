"""Synthesizers of linked tables."""
