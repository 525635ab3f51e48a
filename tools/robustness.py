"""``bevlab robustness`` from a checkout; see ``bev/cli/robustness.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("robustness")
