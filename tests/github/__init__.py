"""Stand-ins for GitHub: a gh that keeps its issues in a folder, and a server that the real gh talks to."""
