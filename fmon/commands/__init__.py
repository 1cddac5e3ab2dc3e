"""Commands in modules of their own, and the options that commands share; ``fmon.cli`` puts them together."""
