"""manifest.json: which job is which condition, in every cycle (F5)."""
