"""What a budget gives and what it costs: public arithmetic, which reads no record."""
