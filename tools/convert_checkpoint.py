"""``bevlab convert`` from a checkout; see ``bev/cli/convert.py``."""

from bev.cli import run_tool

if __name__ == "__main__":
    run_tool("convert")
