"""Run ``bevlab`` as ``python -m bev.cli``."""

from bev.cli import main

if __name__ == "__main__":
    main()
