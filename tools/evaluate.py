"""``bevlab evaluate`` from a checkout; see ``bev/cli/evaluate/``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("evaluate")
