"""Propose a config: from the jobs in the queue, or from a task YAML alone."""
