"""Command-line interface: ``bevlab NAME …``, or ``python tools/NAME.py …`` in a checkout.

Each module of this package is one command: a dataclass of its options and a ``main`` that runs it.
Slow imports (torch, Lightning) are deferred until the options are parsed.
"""

import difflib
import importlib
import os
import sys
from pathlib import Path

from bev import __version__
from bev.compatibility import current_flags
from bev.errors import ConfigError, run_command

COMMANDS = {
    "train": "train a config, evaluate it and draw a few samples",
    "detect": "detect boxes in images of your own, by a calibration file",
    "evaluate": "compute metrics of a checkpoint or a nuScenes results file",
    "report": "lay runs or evaluations side by side on one page",
    "robustness": "measure corrupted images, lost cameras, wrong calibrations",
    "visualize": "draw samples: predictions, ground truth, calibration",
    "check-data": "list all damage of a data set",
    "rig": "check the calibration of cameras of one's own, convert it from and to nuScenes",
    "make-synthetic": "make a synthetic driving world in nuScenes format",
    "ablate": "run an ablation study and tabulate its results",
    "search": "search for good settings, by trials that are compared as they train",
    "export": "write the weights of a checkpoint as safetensors, or its graph for other runtimes",
    "convert": "convert published checkpoints of BEVDet and BEVDepth",
    "reproduce": "evaluate published weights beside their published figures",
    "benchmark": "measure speed, as ratios within one run",
    "configs": "list the shipped configs",
    "models": "list the trained models that come with the package",
}

_IMPORT = "--import FILE first runs a Python file that defines classes of a config or checkpoint."

# Commands that open neither a config nor a checkpoint, and so take no --import.
_WITHOUT_IMPORT = {"make-synthetic", "rig", "configs", "models"}


def main() -> None:
    """Entry point of ``bevlab``."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--version"]:
        print(f"bevlab {__version__}")
    elif not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
    else:
        run_command(lambda: _run(arguments[0], arguments[1:], f"bevlab {arguments[0]}"))


def run_tool(name: str) -> None:
    """Run a command from its script in ``tools/``."""
    run_command(lambda: _run(name, sys.argv[1:], Path(sys.argv[0]).name))


def _run(name: str, arguments: list[str], prog: str) -> None:
    os.environ["MPLBACKEND"] = "agg"  # no windows; a notebook's backend may not be installed
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1) or list(COMMANDS)
        raise ConfigError(f"bevlab has no command {name!r}; did you mean {', '.join(near)}?")
    for argument in arguments:
        try:
            os.fsencode(argument)
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"Argument {argument!r} is no valid text ({error.reason})."
            ) from error
    if name not in _WITHOUT_IMPORT:
        arguments = _import_files(arguments)
        if {"-h", "--help"} & set(arguments):
            print(f"{_IMPORT}\n")
    command = importlib.import_module(f"bev.cli.{name.replace('-', '_')}")
    command.main(current_flags(arguments), prog)


def _import_files(arguments: list[str]) -> list[str]:
    """Run the files named by ``--import FILE``; return the remaining arguments."""
    rest, files, remaining = [], [], iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag != "--import":
            rest.append(argument)
            continue
        value = value if equals else next(remaining, "")
        if not value:
            raise ConfigError("--import needs the path of a Python file.")
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
            "bevlab COMMAND --help lists the options of a command. A config is a file, or the name",
            "of a shipped config: see `bevlab configs`.",
            _IMPORT,
        ]
    )
