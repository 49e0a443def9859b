"""Synthesizers of images: a table of labels, prototypes, and what refines them."""
