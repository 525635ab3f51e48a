"""Lists all damage of a data set at once; exits with 1 where there is an error.

    bevlab check-data DIR [--version v1.0-mini] [--lidar] [--no-images] [--decode]

Warnings alone (lidar files that are missing, samples without boxes) exit with 0.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from bev.data.checks.check import CheckConfig, check_data, versions_in


@dataclass(frozen=True)
class Command:
    """Look a data set through for damage.

    Attributes:
        root: folder of the data set.
        version: empty for those that it holds.
        most: findings listed of each kind.
        all: list every one.
    """

    root: tyro.conf.Positional[Path]
    version: str = ""
    most: int = 10
    all: bool = False
    check: tyro.conf.OmitArgPrefixes[CheckConfig] = field(default_factory=CheckConfig)


def main(arguments: list[str], prog: str) -> None:
    command = tyro.cli(Command, args=arguments, prog=prog)
    versions, passed_over = [command.version], []
    if not command.version:
        versions, passed_over = versions_in(command.root)
    errors = 0
    for version in versions:
        looked_at, findings = check_data(command.root, version, command.check)
        print(looked_at)
        print("\n".join(findings.lines(0 if command.all else command.most)), flush=True)
        errors += findings.count(is_error=True)
    if passed_over:
        print(f"not checked: {', '.join(passed_over)}; name one with --version")
    if errors:
        sys.exit(1)
