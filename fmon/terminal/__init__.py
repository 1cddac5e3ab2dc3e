"""What is shown on a terminal: rows in, text out; nothing here decides."""
