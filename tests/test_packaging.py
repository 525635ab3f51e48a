"""Package metadata, and the one list of checks that CI and contributors run."""

import re

import pytest
import yaml
from structure import ROOT

import bev


@pytest.fixture
def distribution(monkeypatch: pytest.MonkeyPatch):
    """Distribution that setup.py passes to setuptools; nothing is built."""
    pytest.importorskip("setuptools")  # provides distutils from Python 3.12 on
    from distutils.core import run_setup

    monkeypatch.chdir(ROOT)
    return run_setup("setup.py", stop_after="init")


def hooks() -> list[dict]:
    """Hooks of pre-commit, in order."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    return [hook for repository in config["repos"] for hook in repository["hooks"]]


def commands(path: str, start: str) -> list[str]:
    """Commands of a file from ``start`` on, without comments."""
    lines = (ROOT / path).read_text().splitlines()
    found = [line.partition(" #")[0].strip() for line in lines]
    return [line[line.index(start) :] for line in found if start in line and line[0] != "#"]


def test_the_metadata_match_this_version(distribution):
    metadata = distribution.metadata
    assert metadata.version == bev.__version__
    assert metadata.author == "The bevlab authors"
    assert metadata.long_description_content_type == "text/markdown"
    assert metadata.long_description == (ROOT / "README.md").read_text()
    assert "Typing :: Typed" in metadata.classifiers
    for pattern in distribution.package_data["bev"]:
        assert [*(ROOT / "bev").glob(pattern)], pattern


def test_every_check_is_a_tool_that_the_extras_install(distribution):
    requirements = distribution.extras_require["dev"] + distribution.extras_require["docs"]
    installed = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements}
    tools = {hook["entry"].removeprefix("python -m ").split()[0] for hook in hooks()}
    assert tools == {"ruff", "mypy", "sphinx"} and tools | {"pre-commit", "pytest"} <= installed


def test_ci_runs_every_check_as_contributing_states():
    (command,) = commands(".ci/run", "pre-commit run")
    assert command in commands("CONTRIBUTING.md", "pre-commit run")
    stage = command.split("--hook-stage ")[1]
    assert [hook["id"] for hook in hooks() if stage not in hook.get("stages", [stage])] == []
    # A hook that runs on some files only would pass faults in the others.
    assert [hook["id"] for hook in hooks() if hook.get("pass_filenames", True)] == []
    first, installed = re.findall(r"-e (\S+)", "\n".join(commands(".ci/run", "pip install")))
    assert first in "\n".join(commands("README.md", "pip install"))
    assert installed in "\n".join(commands("CONTRIBUTING.md", "pip install"))


def test_mypy_checks_all_of_bev():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no reader of TOML")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    (override,) = settings.pop("overrides")
    assert settings == {"files": ["bev"]}  # all other settings are mypy's defaults
    assert set(override) == {"module", "ignore_missing_imports"}
    assert [name for name in override["module"] if name.split(".")[0] == "bev"] == []
