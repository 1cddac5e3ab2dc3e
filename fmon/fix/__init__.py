"""Phase 4: the fix plan, the project's commands, and the chain from diagnosis to image (F3)."""
