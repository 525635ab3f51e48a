"""``bevlab models`` from a checkout; see ``bev/cli/models.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("models")
