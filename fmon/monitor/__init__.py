"""Phase 2, read-only: poll the queue, store and classify what it says, show it; record and replay."""
