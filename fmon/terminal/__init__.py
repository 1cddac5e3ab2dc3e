"""Format output for a terminal: rows in, text out; nothing is decided here."""
