"""Exact answers about real records, wherever they lie, for a curator alone (`privsynth.privacy.records`)."""
