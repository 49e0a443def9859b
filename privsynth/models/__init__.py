"""What is fitted to releases: mixtures and networks for tables and for images. No record, no privacy."""
