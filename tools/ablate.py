"""``bevlab ablate`` from a checkout; see ``bev/cli/ablate.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("ablate")
