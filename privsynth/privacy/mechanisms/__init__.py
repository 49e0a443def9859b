"""The mechanisms: what is computed from real records, and how much one unit can change it."""
