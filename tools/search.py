"""``bevlab search`` from a checkout; see ``bev/cli/search.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("search")
