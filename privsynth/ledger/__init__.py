"""What was spent, durable: the ledger of all runs, and a run's place in it. Reads no record."""
