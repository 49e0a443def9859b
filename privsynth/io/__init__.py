"""Open, read and write files of tables and of images."""
