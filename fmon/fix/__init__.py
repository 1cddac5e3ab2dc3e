"""Phase 4: the batch plan, the project's own commands, and the measured chain from diagnosis to image (F3)."""
