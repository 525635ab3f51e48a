"""Commands on the pages run in order, with small configs and a small synthetic world."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT
from folders import small_folder
from own_data import write_own_data
from own_rig import SAMPLE, write_drive
from pages import Shell, shell_commands
from warehouse import write_warehouse

pytestmark = pytest.mark.slow

# Words on the pages and their replacements in the workspace.
WORDS = {
    "NAME": "made",
    "OTHER": "made",
    "FILE.safetensors": "backbone.safetensors",
    "v1.0-mini": "v1.0-synthetic",
    "mini_train": "synthetic_train",
    "mini_val": "synthetic_val",
    "scene-0103": "synthetic-val-0000",
    "synthetic-val-0010": "synthetic-val-0000",
    "synthetic-val-0003": "synthetic-val-0000",
    "0/5": "0/2",  # there are three scenes
    "SAMPLE_TOKEN": SAMPLE,
    "docs/examples/warehouse.py": "configs/warehouse.py",
}
SMALLER = {
    "train.py": ("--train.max-steps", "2", "--train.epochs", "1", "--train.pictures", "0"),
    "reproduce.py": ("--train.max-steps", "1", "--train.epochs", "1", "--train.pictures", "0"),
    "robustness.py": ("--minutes", "0.5"),
    "ablate.py": ("--train.max-steps", "1", "--train.epochs", "1", "--replicates", "20"),
    "make_synthetic.py": ("--scenes", "1", "--val-scenes", "1", "--frames", "2", "--workers", "1"),
}
FEW = {  # benchmarks without a time limit, or with much to do before
    "data-index": ("--scenes", "2", "--frames", "3"),
    "pictures": ("configs/lss_r50_mini.py", "--rounds", "1"),
    "corruptions": ("--rounds", "1"),
    "model": ("--seconds", "0.01", "--variants", "eager", "prepared"),
}
# Commands that need missing files or machines, and the tests that cover them.
ELSEWHERE = {
    "torchrun": "two machines; cli/test_two_machines.py",
    "srun": "a SLURM cluster; training/distributed/test_launch.py",
    "--slurm": "a SLURM cluster; lab/ablation/test_cluster.py",
    "--one-per-gpu": "GPUs; lab/ablation/test_queue.py",
    "--devices": "eight processes; cli/test_evaluate_processes.py",
    "fsdp": "two GPUs; what is refused is in training/distributed/test_launch.py",
    "s3://bucket/nuscenes": "object storage; data/storage/test_remote.py",
    "pooling": "minutes at the published shapes; lab/benchmark/test_benchmark.py",
    "convnext_tiny": "its weights come from a hub; models/image/test_backbone.py",
    "scoring": "minutes; lab/benchmark/test_scoring.py",
    "--published": "images of whole strides; lab/benchmark/test_against_published.py",
    "gpu": "a GPU; lab/benchmark/test_gpu.py",
    "sweeps.mp4": "images between key frames; visualization/video/test_scene_video.py",
    "detect": "images of one's own; cli/test_detect.py",
    "tools/detect.py": "images of one's own; cli/test_detect.py",
    "report": "a minute; lab/benchmark/test_report_size.py",
    "--viewer": "runs until Ctrl-C; visualization/viewer, cli/test_visualize_viewer.py",
    "tools/search.py": "minutes; cli/test_search.py",
    "8081": "runs until Ctrl-C; cli/test_visualize_viewer.py",
    "rate-1e-4": "weights of the whole network; training/test_initialization.py",
    "rate-1e-2": "weights of the whole network; training/test_initialization.py",
    "docs/examples/maps.py": "minutes; the heads are in test_own_head.py and models/heads",
    "bevdet-r50.pth": "published weights; lab/convert",
    "bevdet-r50.ckpt": "published weights; lab/convert",
}
COMMANDS = [c for c in shell_commands() if c.tool and not ELSEWHERE.keys() & set(c.words)]

CONFIG = """
from dataclasses import replace
from pathlib import Path
from shrunken import shrunken
from bev.config import load_file

config = shrunken(load_file(Path({path!r})))
if type(config.data.source).__name__ == "NuScenesConfig" and "synthetic" not in config.data.version:
    config = replace(
        config,
        data=replace(
            config.data, version="v1.0-synthetic", train_split="synthetic_train",
            val_split="synthetic_val",
        ),
    )
config = replace(config, data=replace(config.data, workers=0))
"""


@pytest.fixture(scope="module")
def workspace(synthetic_world, tmp_path_factory) -> Path:
    """A checkout with small configs, data of each kind, one run and its results file."""
    from bev.config import load_file
    from bev.models.weights import write_weights

    folder = tmp_path_factory.mktemp("checkout")
    for name in ("tools", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "configs").mkdir()
    for path in [*(ROOT / "configs").glob("*.py"), ROOT / "docs" / "examples" / "warehouse.py"]:
        (folder / "configs" / path.name).write_text(CONFIG.format(path=str(path)))
    (folder / "configs" / "ablations").symlink_to(ROOT / "configs" / "ablations")
    (folder / "data").mkdir()
    (folder / "data" / "nuscenes").symlink_to(synthetic_world)
    write_own_data(folder / "data" / "own")
    write_drive(folder / "drive", synthetic_world, folder / "boxes.json")
    (folder / "rig.yaml").write_bytes((folder / "drive" / "rig.yaml").read_bytes())
    write_warehouse(folder / "data" / "warehouse")
    small_folder(folder / "data" / "folder")
    backbone = load_file(folder / "configs" / "lss_r50.py").model.backbone.build()
    write_weights(folder / "backbone.safetensors", backbone.body.state_dict())
    execute(
        Shell("", ("python", "tools/train.py", "configs/lss_r50.py", "--train.run-name", "made")),
        folder,
    )
    results = folder / "runs/lss_r50/made/evaluation/synthetic_val/results_nusc.json"
    (folder / "results_nusc.json").write_bytes(results.read_bytes())
    return folder


def execute(command: Shell, folder: Path) -> str:
    """Run a command of a page in the workspace; returns its standard output."""
    arguments = [replaced(word) for word in command.arguments]
    if arguments and (folder / "configs" / f"{Path(arguments[0]).stem}.py").is_file():  # a name
        arguments[0] = f"configs/{Path(arguments[0]).stem}.py"
    if "--data.fold" in arguments:  # of all scenes; the configs of the workspace name splits
        arguments += ["--data.train-split", "", "--data.val-split", ""]
    if "--split" in arguments:
        place = arguments.index("--split") + 1
        arguments[place] = {"train": "synthetic_train"}.get(arguments[place], arguments[place])
    if "--help" not in arguments:
        arguments += SMALLER.get(command.tool, ())
    if command.tool == "ablate.py" and "--base" not in arguments and "ablations" in arguments[0]:
        arguments += ["--base", "configs/lss_synthetic.py"]
    if arguments[:1] == ["from-nuscenes"]:
        arguments.append("--overwrite")  # rig.yaml
    if command.tool == "benchmark.py":
        arguments += FEW.get(arguments[0], ("--seconds", "0.01"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(
        [sys.executable, f"tools/{command.tool}", *arguments],
        capture_output=True, text=True, cwd=folder, env=environment, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def replaced(word: str) -> str:
    for old, new in WORDS.items():
        word = word.replace(old, new)
    return word


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_of_the_pages_runs(command: Shell, workspace):
    out = execute(command, workspace)
    assert out.strip()
