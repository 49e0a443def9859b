"""What the budget buys and what it costs: public arithmetic, which reads no record."""
