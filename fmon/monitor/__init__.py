"""Phase 2, read-only: poll the queue, store, classify and show the answer; record and replay."""
