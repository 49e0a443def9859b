"""Models of noisy tables that others released: what is stated of them, their cells, and a fit to them."""
