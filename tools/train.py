"""``bevlab train`` from a checkout; see ``bev/cli/train.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("train")
