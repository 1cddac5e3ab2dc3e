"""Phase 5: the next cycle, under F1 to F5, with the escalation report of F4."""
