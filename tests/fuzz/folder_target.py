"""Damaged files of a folder of one's own, read as ``check-data`` and training read them."""

import json
from pathlib import Path

import yaml
from folders import small_folder
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from mutations import as_json, changed, damaged

from bev.data.checks.check import FileCheckConfig
from bev.data.checks.source import check_config_data
from bev.data.dataset import KeyFrames
from bev.data.folder import FolderSource
from bev.data.settings import DataConfig

POSES = "microseconds,x,y,z,qw,qx,qy,qz\n0,1,2,0,1,0,0,0\n500000,2,2,0,1,0,0,0\n"
TIMES = "moment,seconds\n0000,0\n0001,0.5\n"


def folder_files(folder: Path) -> tuple[SearchStrategy, object]:
    """Strategy of (file, content), and a function that reads the folder with it."""
    root = small_folder(folder / "root")
    (root / "monday" / "poses.csv").write_text(POSES)
    (root / "monday" / "times.csv").write_text(TIMES)
    trees = {
        "folder.yaml": yaml.safe_load((root / "folder.yaml").read_text()),
        "rig.yaml": yaml.safe_load((root / "rig.yaml").read_text()),
        "monday/boxes.json": json.loads((root / "monday" / "boxes.json").read_text()),
    }
    names = [*trees, "monday/poses.csv", "monday/times.csv"]
    valid = {name: (root / name).read_bytes() for name in names}

    def read(case: tuple[str, bytes]) -> None:
        name, content = case
        (root / name).write_bytes(content)
        try:
            data = DataConfig(
                source=FolderSource(), root=root, image_size=(64, 96), workers=0, batch_size=1
            )
            check_config_data(data, FileCheckConfig(workers=1))
            KeyFrames(data.source.open(data).training_frames(), data, training=True)[0]
        finally:
            (root / name).write_bytes(valid[name])

    def case(name: str) -> SearchStrategy:
        content = damaged(valid[name])
        if name in trees:
            content |= changed(trees[name]).map(as_json)  # which is YAML
        return st.tuples(st.just(name), content)

    return st.sampled_from(names).flatmap(case), read
