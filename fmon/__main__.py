"""``python -m fmon`` is ``fmon``."""

from fmon.entry import main

if __name__ == "__main__":
    main()
