"""``bevlab rig`` from a checkout; see ``bev/cli/rig/__init__.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("rig")
