"""Run-time type checks for all tests; fixtures of real samples and of a small synthetic world."""

import gc
import os
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import typechecking
from hypothesis import settings
from isolated import LIBRARIES

# Parallel workers use separate cores: with twice the threads on a core, tests take many times as
# long. This precedes the import of torch, which then counts the cores.
_worker = os.environ.get("PYTEST_XDIST_WORKER")
if _worker and hasattr(os, "sched_setaffinity"):
    _cores = sorted(os.sched_getaffinity(0))
    _first, _step = int(_worker[2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.sched_setaffinity(0, _cores[_first::_step] or _cores)

# Import libraries before bev: the import hook renames byte code files, so libraries imported from
# bev, thousands of files, would be compiled again in every worker.
if _worker:
    for _name in LIBRARIES:
        import_module(_name)

# This precedes every import of bev, here or in a test module.
typechecking.install()

# No deadline: the first call of torch takes longer than hypothesis allows a case. Cases are the
# same in every run, so failures can be reproduced; ``BEV_EXPLORE=1 pytest`` draws new cases, three
# times as many.
_explore = bool(os.environ.get("BEV_EXPLORE"))
settings.register_profile(
    "bev", deadline=None, max_examples=100 if _explore else 30, derandomize=not _explore
)
settings.load_profile("bev")

# Slowest test files: started last, one would keep all other workers waiting. The first makes the
# synthetic world, for which the worker of a file that needs it would wait: the next ones do not.
LONGEST = (
    "checkpoint/test_resume.py", "test_triton.py", "test_compile.py", "report/test_browser.py",
    "test_pages.py", "cli/test_own_code.py", "test_own_head.py", "test_own_source.py",
    "cli/test_commands.py", "training/test_training.py", "checks/test_check.py",
    "cli/test_detect.py", "lab/test_rehearsal.py", "training/test_initialization.py",
    "image/test_backbone.py", "evaluation/test_agreement.py", "models/test_detector.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first, in the order of ``LONGEST``."""

    def place(item: pytest.Item) -> int:
        found = (n for n, name in enumerate(LONGEST) if item.path.as_posix().endswith(f"/{name}"))
        return next(found, len(LONGEST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Leave out of garbage collection what lives to the end: half a second for each full one."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed torch, so that random numbers do not depend on earlier tests; check types anew."""
    import torch

    torch.manual_seed(0)
    typechecking.start_test(every_call=hasattr(getattr(item, "obj", None), "is_hypothesis_test"))


@pytest.fixture(scope="session", autouse=True)
def index_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder for index caches of this session, which starts empty."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEV_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def nuscenes_root() -> Path:
    """Folder of real nuScenes samples; the test is skipped without NUSCENES_ROOT."""
    root = os.environ.get("NUSCENES_ROOT", "")
    if not root or not Path(root).is_dir():
        pytest.skip("NUSCENES_ROOT names no folder of real nuScenes samples")
    return Path(root)


@pytest.fixture(scope="session")
def mini(nuscenes_root):
    """The devkit's v1.0-mini with the three real key frames that have images."""
    from nuscenes import NuScenes

    return NuScenes("v1.0-mini", str(nuscenes_root), verbose=False)


@pytest.fixture(scope="session")
def real_frames(nuscenes_root):
    """One key frame of scene-0061 with lidar, then two of scene-0103 without lidar files."""
    from bev.data.nuscenes.frames import read_frames
    from bev.data.nuscenes.index_cache import open_index

    index = open_index(nuscenes_root, "v1.0-mini")
    return [*read_frames(index, "mini_train"), *read_frames(index, "mini_val")]


@pytest.fixture(scope="session")
def synthetic_config():
    """Settings of ``synthetic_world``: two training scenes, one held-out, four frames each."""
    from bev.lab.synthetic import PRESETS

    return replace(PRESETS["tiny"], train_scenes=2, val_scenes=1, frames_per_scene=4, seed=5)


@pytest.fixture(scope="session")
def synthetic_world(synthetic_config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic world, made once for all parallel workers; tests must not write to it."""
    from filelock import FileLock

    from bev.lab.synthetic import make_world

    shared = tmp_path_factory.getbasetemp().parent if _worker else tmp_path_factory.mktemp("made")
    with FileLock(shared / "world.lock"):
        return make_world(shared / "world", synthetic_config, workers=1, progress=False)


@pytest.fixture(scope="session")
def single(synthetic_world, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a shrunken single-frame model."""
    from exported import exported

    return exported("lss_synthetic", synthetic_world, tmp_path_factory.mktemp("single"))


@pytest.fixture(scope="session")
def temporal(synthetic_world, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a shrunken model of two frames, one second apart."""
    from exported import exported

    return exported("bevdet4d_synthetic", synthetic_world, tmp_path_factory.mktemp("temporal"))
