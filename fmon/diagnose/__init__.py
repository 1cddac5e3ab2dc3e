"""Phase 3: every failure grouped into root causes (F1, F2)."""
