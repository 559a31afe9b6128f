"""``python -m eduq``."""

from eduq.cli import main

if __name__ == "__main__":
    main()
