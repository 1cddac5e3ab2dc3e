"""The command line: parse arguments, call one phase, print; one module per phase."""
