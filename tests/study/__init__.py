"""What the study's launcher sets for each of its seven configs, written without fmon."""
