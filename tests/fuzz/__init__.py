"""Hostile files: what is read may be refused, by an error of ours in one sentence, and nothing else."""
