"""``bevlab report`` from a checkout; see ``bev/cli/report.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("report")
