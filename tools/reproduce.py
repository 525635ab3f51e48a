"""``bevlab reproduce`` from a checkout; see ``bev/cli/reproduce.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("reproduce")
