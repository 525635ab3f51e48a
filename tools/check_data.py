"""``bevlab check-data`` from a checkout; see ``bev/cli/check_data.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("check-data")
