"""How the values of a column become codes, and codes values again. Public facts and releases only."""
