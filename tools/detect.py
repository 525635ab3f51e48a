"""``bevlab detect`` from a checkout; see ``bev/cli/detect``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("detect")
