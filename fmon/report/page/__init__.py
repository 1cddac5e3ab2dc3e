"""The HTML page of a report: rows in, one self-contained file out."""
