"""The page: figures of a report as HTML and SVG."""
