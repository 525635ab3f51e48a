"""What is fuzzed: a strategy of damaged inputs for each kind of file, and what reads it.

Everything is read as the commands read it. Only the index is built in this process, because a
process for each input would take most of the time.
"""

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import cv2
import numpy as np
import torch
import yaml
from folder_target import folder_files
from ground_truth import gt_submission
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from mutations import as_json, changed, damaged, retyped
from own_data import CAMERAS, VERSION, write_own_data
from safetensors.torch import save
from shrunken import shrunken

import bev.cli
from bev.config import Experiment, load_config
from bev.data.checks.check import CheckConfig, check_data
from bev.data.checks.files import SensorFile, image_fault
from bev.data.dataset import KeyFrames
from bev.data.frame import CameraFrame
from bev.data.images.loading import load_image
from bev.data.nuscenes import index_build, index_cache
from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.maps import MapLayers
from bev.data.rig import frames_of, load_rig, save_rig
from bev.data.rig.checks import check_rig
from bev.data.settings import DataConfig
from bev.evaluation.center_distance import read_scores
from bev.evaluation.nuscenes.ground_truth import gt_boxes_of
from bev.evaluation.nuscenes.official import evaluate_submission, read_metrics
from bev.evaluation.results_file import read_boxes, write_boxes
from bev.models.weights.loading import read_weights
from bev.serialization import from_plain, to_plain
from bev.training.checkpoint.loading import check_resumable, load_checkpoint
from bev.training.checkpoint.saving import BestCheckpoint
from bev.training.record import RunRecord
from bev.training.settings_check import check_settings
from bev.visualization.check import draw_check


class Target(NamedTuple):
    """One kind of input."""

    inputs: SearchStrategy
    read: Callable[[Any], object]


def data_config(root: Path) -> DataConfig:
    return DataConfig(
        root=root, version=VERSION, cameras=tuple(CAMERAS), train_split="mine_train",
        val_split="mine_val", image_size=(64, 176), workers=0, batch_size=1,
    )  # fmt: skip


@contextmanager
def index_in_this_process(cache: Path) -> Iterator[None]:
    """Build indexes here; they are removed at the end."""

    def run(folder: Path, out: Path, hashes: dict[str, str]) -> None:
        with redirect_stderr(io.StringIO()):
            index_build.build(folder, out, hashes, 1)

    with patch.object(index_cache, "_run", run), patch.dict("os.environ", BEV_CACHE=str(cache)):
        try:
            yield
        finally:
            shutil.rmtree(cache, ignore_errors=True)


def tables(folder: Path) -> Target:
    """Tables, ``splits.json`` and a map, read by ``check-data``, training and evaluation."""
    root = write_own_data(folder / "root")
    tables = {path.stem: json.loads(path.read_text()) for path in (root / VERSION).glob("*.json")}
    tables["log"] = [{"token": "log", "location": "street"}]
    for scene in tables["scene"]:
        scene["log_token"] = "log"
    tables["street"] = square_map()
    paths = {name: root / VERSION / f"{name}.json" for name in tables}
    paths["street"] = root / "maps" / "expansion" / "street.json"
    paths["street"].parent.mkdir(parents=True)
    valid = {name: as_json(table) for name, table in tables.items()}
    for name, content in valid.items():
        paths[name].write_bytes(content)
    config = data_config(root)

    def read(case: tuple[str, bytes]) -> None:
        name, content = case
        paths[name].write_bytes(content)
        try:
            with index_in_this_process(folder / "cache"):
                check_data(root, VERSION, CheckConfig(workers=1))
                source = config.source.open(config)
                frames = source.frames("mine_val")
                KeyFrames(source.training_frames(), config, training=True)[0]
                draw_check(frames[0])
                gt_boxes_of(source.index, [0, 1])
                maps = MapLayers(root, VERSION, ("drivable_area", "divider"), 1.0, 50.0)
                maps.around(frames[0].scene, frames[0].global_from_ego)
        finally:
            paths[name].write_bytes(valid[name])

    def case(name: str) -> SearchStrategy:
        content = changed(tables[name]).map(as_json) | damaged(valid[name])
        return st.tuples(st.just(name), content)

    return Target(st.sampled_from(sorted(tables)).flatmap(case), read)


def square_map() -> dict[str, list[dict]]:
    """A map expansion of one square and one line across it."""
    places = [(0.0, 0.0), (999.0, 0.0), (999.0, 999.0), (0.0, 999.0)]
    nodes = [{"token": str(n), "x": x, "y": y} for n, (x, y) in enumerate(places)]
    holes = [{"node_tokens": ["0", "1", "2"]}]
    return {
        "node": nodes,
        "line": [{"token": "l", "node_tokens": ["0", "2"]}],
        "polygon": [{"token": "p", "exterior_node_tokens": ["0", "1", "2", "3"], "holes": holes}],
        "drivable_area": [{"token": "d", "polygon_tokens": ["p"]}],
        "road_divider": [{"token": "r", "line_token": "l"}],
        "lane_divider": [],
    }


def results(folder: Path) -> Target:
    """Results files of both formats, and the files that a run leaves and that are read again."""
    config = data_config(write_own_data(folder / "root"))
    source = config.source.open(config)
    frames = source.frames("mine_val")
    boxes = write_boxes(folder / "boxes.json", {f.token: f.boxes for f in frames}, NUSCENES)
    submission = {"meta": {"use_camera": True}, "results": gt_submission(frames)}
    record = RunRecord(1, 2.0, 3, 4, 5, "cpu", 1)
    evaluate_submission(_written(folder / "nusc.json", as_json(submission)), source.index,
                        "mine_val", folder / "out")  # fmt: skip
    summary = json.loads((folder / "out" / "metrics_summary.json").read_text())
    valid = {
        "nusc": submission,
        "boxes": json.loads(boxes.read_text()),
        "best": {"NDS": 0.5, "epoch": 1, "step": 2},
        "run": to_plain(record),
        "metrics_summary": summary,
    }

    def read(case: tuple[str, bytes]) -> None:
        name, content = case
        path = _written(folder / f"{name}.json", content)
        if name == "nusc":
            evaluate_submission(path, source.index, "mine_val", folder / "out")
        elif name == "boxes":
            read_boxes(path, NUSCENES)
        elif name == "best":
            BestCheckpoint(folder, "NDS")._recorded()
        elif name == "run":
            RunRecord.read(folder)
        else:
            read_metrics(folder)
            read_scores(folder)

    def case(name: str) -> SearchStrategy:
        content = changed(valid[name]).map(as_json) | damaged(as_json(valid[name]))
        return st.tuples(st.just(name), content)

    names = ["nusc", "nusc", "nusc", "boxes", "boxes", "best", "run", "metrics_summary"]
    return Target(st.sampled_from(names).flatmap(case), read)


def configs(folder: Path) -> Target:
    """Saved configs."""
    plain = [
        to_plain(load_config(name)) for name in ("lss_r50", "bevdepth_r50", "multitask_synthetic")
    ]
    path = folder / "config.yaml"

    def read(text: bytes) -> None:
        config = load_config(_written(path, text))
        check_settings(config)
        assert repr(from_plain(Experiment, to_plain(config))) == repr(config)  # NaN != NaN

    def as_yaml(tree: Any) -> bytes:
        return yaml.dump(tree, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)).encode()

    texts = [as_yaml(one) for one in plain]
    trees = st.one_of([changed(one, 1) for one in plain]).map(as_json)  # which is YAML
    return Target(trees | st.one_of([damaged(text) for text in texts]), read)


def images(folder: Path) -> Target:
    """Image files of three formats, loaded for training and checked."""
    picture = np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8)
    picture = cv2.resize(picture, (160, 96))
    files = [cv2.imencode(ending, picture)[1].tobytes() for ending in (".jpg", ".png", ".webp")]
    path, eye = folder / "image.jpg", torch.eye(4, dtype=torch.float64)
    camera = CameraFrame("a", path, (96, 160), eye[:3, :3], eye)
    half = torch.diag(torch.tensor([0.5, 0.5, 1.0]))

    def read(content: bytes) -> None:
        _written(path, content)
        image_fault(folder, SensorFile(path.name, "token", (96, 160)), True)
        load_image(camera, half, (48, 80))

    return Target(st.one_of([damaged(file) for file in files]), read)


def rigs(folder: Path) -> Target:
    """Rig files, ROS calibrations, times and poses, and the frames and images that follow."""
    picture = cv2.imencode(".png", np.zeros((48, 80, 3), np.uint8))[1].tobytes()
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(picture)
    pose = {"translation": [1.5, 0.1, 1.6], "rotation": [0.5, -0.5, 0.5, -0.5]}
    lens = {"model": "fisheye", "coefficients": [0.1, 0.01, 0.0, 0.0], "max_angle": 1.5}
    focal = {"fx": 60.0, "fy": 61, "cx": 39.5, "cy": 23.5}
    own = {"name": "a", "images": "a/*.png", "width": 80, "height": 48, "intrinsics": focal}
    view = {"intrinsics": [[50, 0, 40], [0, 50, 24], [0, 0, 1]], "width": 80, "height": 48}
    own |= {"ego_from_camera": pose, "distortion": lens, "pinhole": view}
    other = {"name": "b", "camera_info": "info.yaml", "ego_from_camera": pose}
    info = {"image_width": 80, "image_height": 48, "distortion_model": "plumb_bob"}
    info |= {"camera_matrix": {"rows": 3, "cols": 3, "data": [60, 0, 39, 0, 60, 23, 0, 0, 1]}}
    info |= {"distortion_coefficients": {"data": [-0.3, 0.1, 0.001, 0.002, 0.0]}}
    valid: dict[str, Any] = {
        "rig.yaml": {"pixel_centers": "integer", "cameras": [own, other]},
        "info.yaml": info,
        "poses.json": [{"seconds": time} | pose for time in (0, 1, 2)],
        "times.json": [{"moment": str(n), "seconds": n} for n in (1, 2)],
    }
    tables = {
        "poses.csv": b"seconds,x,y,z,qw,qx,qy,qz\n0,0,0,0,1,0,0,0\n2,1,0,0,1,0,0,0\n",
        "times.csv": b"image,seconds\na/1.png,0\na/2.png,1\nb/1.png,0.1\nb/2.png,1.1\n",
    }
    contents = {name: as_json(tree) for name, tree in valid.items()} | tables
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    half = torch.diag(torch.tensor([0.5, 0.5, 1.0]))

    def read(case: tuple[str, bytes]) -> None:
        name, content = case
        _written(folder / name, content)
        poses, times = (
            folder / (name if name.startswith(kind) else f"{kind}.csv")
            for kind in ("poses", "times")
        )
        try:
            rig = load_rig(folder / "rig.yaml")
            for frame in frames_of(rig, folder, poses, times):
                check_rig(frame)
                for camera in frame.cameras:
                    load_image(camera, half, (24, 40))
            assert repr(load_rig(save_rig(rig, folder / "again.yaml"))) == repr(rig)
        finally:
            _written(folder / name, contents[name])

    def case(name: str) -> SearchStrategy:
        content = damaged(contents[name])
        if name in valid:
            content = content | changed(valid[name]).map(as_json)
        return st.tuples(st.just(name), content)

    names = ["rig.yaml", "rig.yaml", *sorted(contents)]
    return Target(st.sampled_from(names).flatmap(case), read)


def checkpoints(folder: Path) -> Target:
    """Checkpoints: their bytes, their content, and their bytes with the right checksums."""
    config = shrunken(load_config("lss_r50"))
    state = {f"model.{name}": value for name, value in config.model.build().state_dict().items()}
    content = {"config": to_plain(config), "state_dict": state, "code": [], "epoch": 0}
    content |= {"optimizer_states": [], "lr_schedulers": [], "loops": {}}
    file = io.BytesIO()
    torch.save(content, file)
    whole = file.getvalue()
    few = {name: state[name].contiguous() for name in list(state)[:2]}
    exported = save(few, {"config": json.dumps(content["config"])})

    def read(case: tuple[str, bytes]) -> None:
        name, data = case
        path = _written(folder / name, data)
        for use in (read_weights, load_checkpoint, lambda path: check_resumable(path, config)):
            use(path)

    def repacked(data: bytes) -> bytes:
        """The archive with another pickle and the right checksums."""
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(whole)) as parts, zipfile.ZipFile(out, "w") as new:
            for part in parts.infolist():
                pickled = part.filename.endswith("data.pkl")
                new.writestr(part.filename, data if pickled else parts.read(part))
        return out.getvalue()

    def saved(tree: Any) -> bytes:
        out = io.BytesIO()
        torch.save(tree, out)
        return out.getvalue()

    with zipfile.ZipFile(io.BytesIO(whole)) as parts:
        pickle = parts.read(next(name for name in parts.namelist() if name.endswith("data.pkl")))
    trees = st.one_of(
        changed(content["config"], 2).map(lambda tree: {**content, "config": tree}),
        changed({**content, "state_dict": few}),
    )
    named = {
        "a.ckpt": st.one_of(damaged(whole), damaged(pickle).map(repacked), trees.map(saved)),
        "a.safetensors": damaged(exported),
    }
    names = st.sampled_from(sorted(named))
    return Target(names.flatmap(lambda name: st.tuples(st.just(name), named[name])), read)


def command_lines(folder: Path) -> Target:
    """Words after ``bevlab``. What takes minutes or writes a data set is left out."""
    root = write_own_data(folder / "root")
    (folder / "nusc.json").write_text("{}")
    data = ["--data.root", str(root), "--data.version", VERSION]
    splits = ["--data.train-split", "mine_train", "--data.val-split", "mine_val"]
    lines = [
        ["train", "lss_r50_mini", *data, "--train.lr", "1e-4", "--data.batch-size", "2"],
        ["reproduce", "lss_r50", "--train", *data, *splits, "--train.accumulate", "4"],
        ["reproduce", "bevdet_r50_dev21", "--weights", "r50.pth", *data, "--split", "mine_val"],
        ["benchmark", "pooling", "--batches", "1", "--seconds", "1", "--out", "a"],
        ["benchmark", "model", "lss_r50", "--batch-size", "1", "--precision", "32"],
        ["benchmark", "data", "lss_r50", *data, "--workers", "0", "2", "--out", "a"],
        ["benchmark", "scoring", "--samples", "3", "--boxes", "2", "--rounds", "1"],
        ["evaluate", "nusc.json", *data, "--split", "mine_val", "--within", "30"],
        ["robustness", "last.ckpt", *data, "--every", "2", "--groups", "late", "--minutes", "1"],
        ["check-data", str(root), "--version", VERSION, "--most", "3"],
        ["visualize", "lss_r50_mini", *data, "--split", "mine_val", "--samples", "1", "--out", "a"],
        ["visualize", "nusc.json", "nusc.json", *data, "--split", "mine_val", "--score", "0.2"],
        ["rig", "check", "rig.yaml", "--images", ".", "--moment", "1", "--out", "a.png"],
        ["rig", "from-nuscenes", str(root), "sample", "--version", VERSION, "--out", "b.yaml"],
        ["rig", "export-nuscenes", "rig.yaml", "--images", ".", "--out", "c", "--score", "0.5"],
        ["export", "last.ckpt", "--out", "out.safetensors", "--half", "--data.root", "elsewhere"],
        ["check-data", str(root), "--version", VERSION, "--checksum", "mine_val"],
        ["models"],
        ["convert", "published.pth", "--out", "out.ckpt"],
        ["make-synthetic", "world", "--preset", "tiny", "--scenes", "2", "--seed", "3"],
        ["ablate", "lss_r50_mini", "--vary", "train.lr=1e-3,2e-3", "--seeds", "2", "--print"],
        ["configs"],
        ["--version"],
    ]
    stopped = [  # work that follows the checks of a command's settings
        "bev.training.run._train_in",
        "bev.cli.reproduce._evaluate",
        "bev.lab.synthetic.make_world",
        "bev.lab.rehearsal.make_world",
        "bev.lab.ablation.queue.run_all",
        *(f"bev.lab.benchmark.{kind}.run" for kind in ("pooling", "data", "backbones", "index")),
        "bev.lab.benchmark.step.step_stages",
        "bev.lab.benchmark.scoring.compare.run",
    ]

    def read(words: list[str]) -> None:
        with (
            ExitStack() as stops,
            patch("torch.set_num_threads"),  # of this process
            patch.object(sys, "argv", ["bevlab", *words]),
            index_in_this_process(folder / "cache"),
            redirect_stdout(io.StringIO()) as found,  # check-data lists damage there
            redirect_stderr(io.StringIO()) as errors,
        ):
            for name in stopped:
                stops.enter_context(patch(name, side_effect=SystemExit(0)))
            try:
                bev.cli.main()
            except SystemExit as stop:
                message = errors.getvalue() + found.getvalue()
                assert "Traceback" not in message and (not stop.code or message.strip())
                raise

    return Target(retyped(lines), read)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


TARGETS = {
    "tables": tables,
    "folders": lambda folder: Target(*folder_files(folder)),
    "results": results,
    "configs": configs,
    "images": images,
    "rigs": rigs,
    "checkpoints": checkpoints,
    "command lines": command_lines,
}
