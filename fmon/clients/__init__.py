"""Clients of other programs and servers: git, the image registry, GitHub, MLflow."""
