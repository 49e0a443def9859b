"""Synthesizers of tables: all end with one mixture, so all sample alike."""
