"""Provenance of the figures of a report: code, packages, machine, time and command."""

import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import bev
from bev.cores import usable_cores
from bev.serialization import leaves

_PACKAGES = ("torch", "torchvision", "lightning", "timm", "numpy", "scipy",
             "opencv-python-headless", "nuscenes-devkit", "plotly")  # fmt: skip


def provenance() -> list[tuple[str, str]]:
    """Names and values of what this process runs with."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    return [
        ("bevlab", bev.__version__),
        ("Git commit", git_commit(Path(bev.__file__).parents[1])),
        ("Python", platform.python_version()),
        ("Packages", ", ".join(f"{name} {version}" for name, version in _versions())),
        ("System", f"{platform.system()} {platform.release()} ({platform.machine()})"),
        ("Processor", f"{_processor()}, {usable_cores()} usable cores"),
        ("GPU", _gpu()),
        ("Report written", time.strftime("%Y-%m-%d %H:%M:%S %z")),
        ("Command", command),
    ]


def git_commit(folder: Path) -> str:
    """Commit of a checkout, with a note if files differ from it; empty outside of one."""
    if not (folder / ".git").exists():
        return ""
    texts = []
    for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        if done.returncode:
            return ""
        texts.append(done.stdout.strip())
    return texts[0] + (" (with local changes)" if texts[1] else "")


def differences(config: Mapping[str, Any], base: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Settings that differ between two plain configs: name, value, value in the base."""
    here, there = flat_settings(config), flat_settings(base)
    return [
        (name, here.get(name, ""), there.get(name, ""))
        for name in {**here, **there}
        if here.get(name) != there.get(name)
    ]


def flat_settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Settings of a plain config as text, by their dotted names."""
    return {name: "none" if value is None else str(value) for name, value in leaves(config)}


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _gpu() -> str:
    """Name of the GPU in use; nothing is asked for where torch has not been imported."""
    torch = sys.modules.get("torch")
    used = torch is not None and torch.cuda.is_available()
    return str(torch.cuda.get_device_name()) if torch and used else "none used"
