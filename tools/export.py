"""``bevlab export`` from a checkout; see ``bev/cli/export.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("export")
