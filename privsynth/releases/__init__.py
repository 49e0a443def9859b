"""Noised answers that were paid for: what each kind holds, and where a run keeps them."""
