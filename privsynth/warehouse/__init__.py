"""Exact answers about records in an engine: DuckDB, PostgreSQL or Spark counts them, and no row leaves it."""
