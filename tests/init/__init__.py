"""Proposing a config."""
