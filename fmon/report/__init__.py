"""Phase 6: the report, its page, comparisons, the audit and issues."""
