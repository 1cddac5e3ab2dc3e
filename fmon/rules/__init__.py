"""Rules F1 to F5 and the kill switch as pure functions: rows in, an error or nothing out."""
