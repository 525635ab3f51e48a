"""``bevlab visualize`` from a checkout; see ``bev/cli/visualize/``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("visualize")
