"""Making a world: complete or absent, reused, resumed, and the same for any number of workers."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from bev.errors import ConfigError, DataError
from bev.lab.synthetic import WorldConfig, find_world, make_world, world
from bev.lab.synthetic.writing.scene_writer import write_scene

MINI = WorldConfig(train_scenes=1, val_scenes=1, frames_per_scene=2, seed=3, image_size=(320, 180))


def digest(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def mini_world(tmp_path_factory) -> Path:
    return make_world(tmp_path_factory.mktemp("mini") / "mini", MINI, workers=1, progress=False)


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_workers(mini_world, tmp_path):
    other = make_world(tmp_path / "again", MINI, workers=2, progress=False)
    assert digest(other) == digest(mini_world)


@pytest.mark.slow
def test_another_seed_makes_another_world(mini_world, tmp_path):
    config = replace(MINI, seed=4)
    other = digest(make_world(tmp_path / "other", config, workers=1, progress=False))
    pictures = {v for k, v in digest(mini_world).items() if k.endswith((".jpg", ".bin"))}
    assert not pictures & {v for k, v in other.items() if k.endswith((".jpg", ".bin"))}


def test_finished_world_is_found_and_not_remade(mini_world, monkeypatch):
    monkeypatch.setattr(world, "write_scene", lambda job: pytest.fail("made again"))
    assert make_world(mini_world, MINI, workers=1, progress=False) == mini_world
    assert find_world(mini_world, MINI) == mini_world


def test_other_settings_are_an_error_that_names_them(mini_world):
    before = digest(mini_world)
    with pytest.raises(DataError, match="its seed is 3, wanted 4"):
        make_world(mini_world, replace(MINI, seed=4), progress=False)
    assert digest(mini_world) == before


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "v1.0-mini").mkdir()
    with pytest.raises(DataError, match="not a synthetic world"):
        make_world(tmp_path, MINI, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["v1.0-mini"]


def test_interrupted_world_is_absent_then_resumed(mini_world, tmp_path, monkeypatch):
    root, made = tmp_path / "cut", []

    def cut_off(job):
        if made:
            raise KeyboardInterrupt
        made.append(job[2].name)
        return write_scene(job)

    monkeypatch.setattr(world, "write_scene", cut_off)
    with pytest.raises(KeyboardInterrupt):
        make_world(root, MINI, workers=1, progress=False)
    assert not root.exists() and find_world(root, MINI) is None

    resumed = []
    monkeypatch.setattr(
        world, "write_scene", lambda job: (resumed.append(job[2].name), write_scene(job))[1]
    )
    make_world(root, MINI, workers=1, progress=False)
    assert len(made) == len(resumed) == 1 and made[0] not in resumed
    assert digest(root) == digest(mini_world)
    assert [p.name for p in tmp_path.iterdir()] == ["cut"]


@pytest.mark.slow
def test_leftovers_of_other_settings_are_not_reused(mini_world, tmp_path, monkeypatch):
    root = tmp_path / "cut"
    monkeypatch.setattr(world, "_write_tables", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make_world(root, replace(MINI, seed=9), workers=1, progress=False)
    monkeypatch.undo()
    make_world(root, MINI, workers=1, progress=False)
    assert digest(root) == digest(mini_world)


def test_no_two_scenes_share_a_seed():
    keys = replace(MINI, train_scenes=50, val_scenes=50).scene_keys()
    assert len({tuple(key.entropy) for key in keys}) == len({key.name for key in keys}) == 100


@pytest.mark.parametrize(
    "change",
    [{"train_scenes": 0}, {"frames_per_scene": 1}, {"seed": -1}, {"image_size": (800, 600)}],
)
def test_invalid_settings_are_errors(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        replace(MINI, **change)


def test_no_workers_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="workers is 0"):
        make_world(tmp_path / "none", MINI, workers=0, progress=False)
