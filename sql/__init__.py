"""The SQL views of fmon: one file each; importable so that they ship with the package."""
