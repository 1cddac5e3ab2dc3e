"""Phase 1: plan, check, and launch each condition exactly once; adopt jobs that are already running."""
