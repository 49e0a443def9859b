"""Tables whose groups are balanced: in the place of a resampler, and where an estimator is worst."""
