"""``python -m fmon`` is ``fmon``."""

from fmon.cli.entry import main

if __name__ == "__main__":
    main()
