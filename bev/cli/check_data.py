"""List all damage of a data set at once; exit with status 1 if there are errors.

    bevlab check-data DIR [--version v1.0-mini] [--lidar] [--no-images] [--decode]

Warnings alone (missing lidar files, samples without boxes) exit with status 0.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from bev.data.checks.check import CheckConfig, check_data, versions_in


@dataclass(frozen=True)
class Command:
    """Check a data set for damage.

    Attributes:
        root: folder of the data set.
        version: version to check, as v1.0-mini; empty checks the versions found in the folder.
        most: maximum number of findings listed per kind.
        all: list all findings.
    """

    root: tyro.conf.Positional[Path]
    version: str = ""
    most: int = 10
    all: bool = False
    check: tyro.conf.OmitArgPrefixes[CheckConfig] = field(default_factory=CheckConfig)


def main(arguments: list[str], prog: str) -> None:
    command = tyro.cli(Command, args=arguments, prog=prog)
    versions: list[str] = [command.version]
    skipped: list[str] = []
    if not command.version:
        versions, skipped = versions_in(command.root)
    errors = 0
    for version in versions:
        summary, findings = check_data(command.root, version, command.check)
        print(summary)
        print("\n".join(findings.lines(0 if command.all else command.most)), flush=True)
        errors += findings.count(is_error=True)
    if skipped:
        print(f"not checked: {', '.join(skipped)}; name one with --version")
    if errors:
        sys.exit(1)
