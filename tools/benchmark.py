"""``bevlab benchmark`` from a checkout; see ``bev/cli/benchmark.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("benchmark")
