"""Every other outside program or server: git, the image registry, GitHub, MLflow."""
