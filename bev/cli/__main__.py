"""``python -m bev.cli`` is the command ``bevlab``."""

from bev.cli import main

if __name__ == "__main__":
    main()
