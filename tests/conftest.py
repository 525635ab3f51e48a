"""Shape annotations are checked while tests run; real samples and a small made world on request."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Before anything of bev is imported by a test module.
install_import_hook("bev", "typechecking.check")


@pytest.fixture(scope="session")
def nuscenes_root() -> Path:
    """Folder of the real nuScenes samples; the test is skipped without NUSCENES_ROOT."""
    root = os.environ.get("NUSCENES_ROOT", "")
    if not root or not Path(root).is_dir():
        pytest.skip("NUSCENES_ROOT names no folder of real nuScenes samples")
    return Path(root)


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made world of two training scenes and one held-out scene, four key frames each."""
    from dataclasses import replace

    from bev.synthetic import PRESETS, make_world

    config = replace(PRESETS["tiny"], train_scenes=2, val_scenes=1, frames_per_scene=4)
    root = tmp_path_factory.mktemp("made") / "world"
    return make_world(root, config, workers=2, progress=False)
