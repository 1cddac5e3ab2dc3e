"""Phase 4: the batch plan, the project's commands, and the chain from diagnosis to image (F3)."""
