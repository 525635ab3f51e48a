"""The commands, the top of the house: ``bevlab NAME …``, in a checkout ``python tools/NAME.py …``.

Each module here is one command: typed options, and what it does with the rooms below. Parsing needs
little; what takes seconds to import is imported once the options are known.
"""

import difflib
import importlib
import os
import sys
from pathlib import Path

from bev import __version__
from bev.errors import ConfigError, run_command

COMMANDS = {
    "train": "train a config, evaluate it and draw a few samples",
    "evaluate": "metrics of a checkpoint or a nuScenes results file",
    "visualize": "pictures of samples: predictions, ground truth, calibration",
    "check-data": "list all damage of a data set",
    "make-synthetic": "make a synthetic driving world in nuScenes' format",
    "ablate": "run a study and put it in a table",
    "export": "weights of a checkpoint as safetensors",
    "convert": "published checkpoints of BEVDet and BEVDepth as this project's",
    "benchmark": "measured speed, as ratios in one run",
    "configs": "list the shipped configs",
}

_IMPORT = "--import FILE first runs a Python file whose classes a config or a checkpoint uses."

# Commands that open no config and no checkpoint.
_WITHOUT_CODE = {"check-data", "make-synthetic", "configs"}


def main() -> None:
    """The command ``bevlab``."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--version"]:
        print(f"bevlab {__version__}")
    elif not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
    else:
        run_command(lambda: _run(arguments[0], arguments[1:], f"bevlab {arguments[0]}"))


def run_tool(name: str) -> None:
    """A command by its script in ``tools/``."""
    run_command(lambda: _run(name, sys.argv[1:], Path(sys.argv[0]).name))


def _run(name: str, arguments: list[str], prog: str) -> None:
    os.environ["MPLBACKEND"] = "agg"  # no windows; a notebook's own backend may not be installed
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1) or list(COMMANDS)
        raise ConfigError(f"bevlab has no command {name!r}; did you mean {', '.join(near)}?")
    if name not in _WITHOUT_CODE:
        arguments = _import_files(arguments)
        if {"-h", "--help"} & set(arguments):
            print(f"{_IMPORT}\n")
    importlib.import_module(f"bev.cli.{name.replace('-', '_')}").main(arguments, prog)


def _import_files(arguments: list[str]) -> list[str]:
    """Run the files that ``--import FILE`` names; the arguments without these."""
    rest, files, waiting = [], [], iter(arguments)
    for argument in waiting:
        flag, equals, value = argument.partition("=")
        if flag != "--import":
            rest.append(argument)
            continue
        value = value if equals else next(waiting, "")
        if not value:
            raise ConfigError("--import needs a Python file, whose classes a config uses.")
        files.append(Path(value))
    if files:
        from bev.config import import_file

        for path in files:
            import_file(path)
    return rest


def _usage() -> str:
    lines = [f"  {name:<16}{text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: bevlab COMMAND …",
            "",
            "Camera-only bird's-eye-view 3D perception.",
            "",
            *lines,
            "",
            "bevlab COMMAND --help lists its options. A config is a file or the name of one of",
            "`bevlab configs`.",
            _IMPORT,
        ]
    )
