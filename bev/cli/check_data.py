"""List all damage of a data set at once; exit with status 1 if there are errors.

    bevlab check-data DIR [--version v1.0-mini] [--lidar] [--no-images] [--decode]
    bevlab check-data CONFIG [--data.root DIR] [--lidar] [--no-images] [--decode]
    bevlab check-data DIR --version v1.0-mini --checksum mini_val

The first checks a folder of data in nuScenes' format, or one with a ``folder.yaml``; the second
the data of a config, of any source. Warnings alone (missing lidar files, samples without boxes)
exit with status 0.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from bev.bounds import Natural
from bev.data.checks.check import CheckConfig, check_data, versions_in
from bev.data.checks.findings import Findings
from bev.options import parse


@dataclass(frozen=True)
class Command:
    """Check a data set in nuScenes' format for damage.

    `check-data CONFIG`, a config file or the name of a shipped config, checks the data of the
    config, of any source; `check-data CONFIG --help` lists its options.

    Attributes:
        root: folder of the data set.
        version: version to check, as v1.0-mini; empty checks the versions found in the folder.
        most: maximum number of findings listed per kind.
        all: list all findings.
        checksum: split whose checksum is printed, of images, calibrations and boxes, instead of a
            check: equal where two copies of a data set hold the same frames.
    """

    root: tyro.conf.Positional[Path]
    version: str = ""
    most: Natural = 10
    all: bool = False
    checksum: str = ""
    check: tyro.conf.OmitArgPrefixes[CheckConfig] = field(default_factory=CheckConfig)


def main(arguments: list[str], prog: str) -> None:
    is_folder = bool(arguments) and _is_folder(arguments[0])
    if is_folder:
        arguments = ["folder", "--data.root", *arguments]
    if is_folder or arguments and _is_config(arguments[0]):
        from bev.cli import check_config  # imports the networks

        check_config.main(arguments, prog)
        return
    command = parse(Command, arguments, prog)
    versions: list[str] = [command.version]
    skipped: list[str] = []
    if not command.version:
        versions, skipped = versions_in(command.root)
    if command.checksum:
        for version in versions:
            print(_checksum(command.root, version, command.checksum))
        return
    errors = 0
    for version in versions:
        summary, findings = check_data(command.root, version, command.check)
        errors += report(summary, findings, 0 if command.all else command.most)
    if skipped:
        print(f"not checked: {', '.join(skipped)}; name one with --version")
    if errors:
        sys.exit(1)


def _checksum(root: Path, version: str, split: str) -> str:
    """Line on the checksum of a split."""
    from bev.data.checks.checksum import frames_checksum
    from bev.data.settings import DataConfig

    data = DataConfig(root=root, version=version)
    frames = data.source.open(data).frames(split)
    return f"{split} of {version}, {len(frames)} frames, SHA-256 {frames_checksum(frames)}"


def report(summary: str, findings: Findings, most: int) -> int:
    """Print what was checked, and at most ``most`` findings per kind; returns the errors."""
    print(summary)
    print("\n".join(findings.lines(most)), flush=True)
    return findings.count(is_error=True)


def _is_folder(text: str) -> bool:
    """True for a folder of one's own, of ``bev.data.folder``."""
    return not text.startswith("-") and (Path(text) / "folder.yaml").is_file()


def _is_config(text: str) -> bool:
    """True for a config file or the name of a shipped config; a folder is a data set."""
    path = Path(text)
    if text.startswith("-") or path.is_dir():
        return False
    if path.suffix in (".py", ".yaml", ".yml"):
        return True
    from bev.config import shipped_configs  # imports the networks

    return text in shipped_configs()
