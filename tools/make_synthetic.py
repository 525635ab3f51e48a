"""``bevlab make-synthetic`` from a checkout; see ``bev/cli/make_synthetic.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("make-synthetic")
