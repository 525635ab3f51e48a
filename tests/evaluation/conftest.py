"""Real ground truth, noisy predictions of it, and synthetic tables with bicycles in racks."""

import json

import pytest
from devkit_metrics import noisy
from nuscenes import NuScenes

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.evaluation.nuscenes.submission import write_submission
from bev.lab.benchmark.synthetic_tables import VERSION, write_tables


@pytest.fixture(scope="session")
def index(nuscenes_root):
    """The whole mini_val split: 81 samples, 4514 annotations."""
    return open_index(nuscenes_root, "v1.0-valgt-mini")


@pytest.fixture(scope="session")
def nusc(index):
    return NuScenes(index.version, str(index.root), verbose=False)


@pytest.fixture(scope="session")
def frames(index):
    return list(read_frames(index, "mini_val", cameras=()))


@pytest.fixture(scope="session")
def noisy_file(frames, tmp_path_factory):
    return write_submission(tmp_path_factory.mktemp("noisy") / "results_nusc.json", noisy(frames))


@pytest.fixture()
def rack_tables(tmp_path):
    """Synthetic tables of ten training scenes, where every bicycle stands in a rack."""
    root = write_tables(tmp_path / "root", scenes=10, frames=4, boxes=40, seed=2)
    tables = root / VERSION
    kind = {r["token"]: r["name"] for r in json.loads((tables / "category.json").read_text())}
    instances = json.loads((tables / "instance.json").read_text())
    kinds = {row["token"]: kind[row["category_token"]] for row in instances}
    boxes = json.loads((tables / "sample_annotation.json").read_text())
    places = {}
    for box in boxes:
        if kinds[box["instance_token"]] == "vehicle.bicycle":
            places.setdefault(box["sample_token"], []).append(box["translation"])
    for number, box in enumerate(boxes):
        here = places.get(box["sample_token"])
        if kinds[box["instance_token"]] == "static_object.bicycle_rack" and here:
            box["translation"], box["size"] = here[number % len(here)], [1.0, 3.0, 2.0]
    (tables / "sample_annotation.json").write_text(json.dumps(boxes))
    return root
