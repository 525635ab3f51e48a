"""A custom head in docs/examples/occupancy.py, used with every command."""

import json
import re
import signal
from dataclasses import replace

import pytest
import torch
from commands import ROOT, SMALL, ablate, call

from bev.config import load_file
from bev.data.batch import Batch, Views
from bev.errors import ConfigError
from bev.evaluation.evaluation import evaluators
from bev.geometry import BevGrid, Boxes3D, Cameras, bev_transform
from bev.models import CenterHeadConfig, DetectorConfig, Features, FeatureSpec

EXAMPLE = ROOT / "docs" / "examples" / "occupancy.py"
GRID = BevGrid(x=(-2.0, 4.0, 1.0), y=(-4.0, 4.0, 1.0), z=(-4.0, 4.0, 8.0))  # 6 columns, 8 rows


@pytest.fixture(scope="module")
def example():
    return load_file(EXAMPLE)


def batch_of(*lidar: list[tuple[float, float, float]], bev=None) -> Batch:
    """A batch with lidar points and images of one pixel."""
    count, eye = len(lidar), torch.eye(4)
    three = eye[:3, :3].expand(count, 1, 3, 3)
    images = torch.zeros(count, 1, 3, 1, 1, dtype=torch.uint8)
    return Batch(
        views=Views(images, Cameras(three, eye.expand(count, 1, 4, 4), three), list("ab"[:count])),
        bev_from_ego=(eye if bev is None else bev).expand(count, 4, 4),
        boxes=[Boxes3D.empty()] * count,
        lidar=[torch.tensor(points).view(-1, 3) for points in lidar],
        global_from_ego=torch.eye(4, dtype=torch.float64).expand(count, 4, 4),
    )


def test_cells_and_overlap_worked_out_by_hand(example):
    """One of three points is too low; the others lie in two cells, one of which is predicted."""
    points = [(0.5, -2.5, 1.0), (3.2, 1.1, 2.0), (1.0, 1.0, 0.1)]
    batch, config = batch_of(points, []), example.model.occupancy
    ground_truth = config.ground_truth(batch, GRID)
    assert ground_truth.nonzero().tolist() == [[0, 0, 1, 2], [0, 0, 5, 5]]
    turned = batch_of(points, bev=bev_transform(flip_y=True))
    assert torch.equal(config.ground_truth(turned, GRID)[0], ground_truth[0].flip(1))
    own = evaluators(replace(example.model, grid=GRID), example.data)["occupancy"]
    logits = torch.full((2, 1, 8, 6), -1.0)
    logits[0, 0, 1, 2] = logits[0, 0, 0, 0] = logits[1, 0, 7, 5] = 1.0
    own.update(logits, batch)
    # Intersection 1; union 3 in the first sample, 1 in the second, which has no occupied cell.
    assert {token: sums.tolist() for token, sums in own.samples.items()} == {
        "a": [1, 3],
        "b": [0, 1],
    }
    assert own.figures(sum(own.samples.values())) == {"IoU_occupied": 0.25}


def settings(root, runs) -> list:
    return [
        *SMALL, "--model.backbone.name", "resnet10t", "--model.backbone.no-pretrained",
        "--data.root", root, "--data.version", "v1.0-synthetic", "--data.batch-size", "2",
        "--train.devices", "1", "--train.runs", runs,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(synthetic_world, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    arguments = settings(synthetic_world, runs)
    call("train.py", EXAMPLE, *arguments, "--train.run-name", "own", "--train.max-steps", "2")
    return runs / "occupancy" / "own"


@pytest.mark.long
def test_the_head_trains_and_is_reported(trained):
    lines = (trained / "metrics.csv").read_text()
    assert "train/occupancy" in lines.splitlines()[0]
    assert "val/IoU_occupied" in lines.splitlines()[0]
    history = json.loads((trained / "evaluation" / "history.jsonl").read_text().splitlines()[-1])
    assert 0 <= history["IoU_occupied"] <= 1 and history["mAP"] >= 0
    page = (trained / "report.html").read_text()
    assert "IoU_occupied" in page and "type: WithOccupancy" in page
    assert list((trained / "pictures").glob("*.png"))


@pytest.mark.long
def test_the_head_resumes_evaluates_and_is_drawn(trained, synthetic_world, tmp_path):
    checkpoint = trained / "checkpoints" / "last.ckpt"
    own = ["--import", EXAMPLE]
    out, _ = call("evaluate.py", checkpoint, *own, "--out", tmp_path / "evaluation")
    file = trained / "evaluation" / "synthetic_val" / "occupancy.json"
    again = json.loads((tmp_path / "evaluation" / "occupancy.json").read_text())
    assert again == json.loads(file.read_text()) and "IoU_occupied" in out
    # Both evaluations use flip test-time augmentation, which this config sets.
    call("visualize.py", checkpoint, *own, "--out", tmp_path / "pictures", "--samples", "1")
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 1
    arguments = settings(synthetic_world, trained.parents[1])
    call("train.py", EXAMPLE, *arguments, "--resume", checkpoint, "--train.max-steps", "3",
         "--train.epochs", "2")  # fmt: skip
    assert json.loads((trained / "run.json").read_text())["steps"] == 3


@pytest.mark.long
def test_the_head_is_ablated(trained, synthetic_world, tmp_path):
    """A study of two weights; its table contains the head's metric with an interval."""
    before = signal.getsignal(signal.SIGTERM)
    arguments = settings(synthetic_world, tmp_path)[:-2]  # without --train.runs
    out = ablate(
        [EXAMPLE, *arguments, "--train.max-steps", "1", "--train.pictures", "0"],
        "model.occupancy.weight=1.0,4.0", tmp_path,
    )  # fmt: skip
    header = next(line for line in out.splitlines() if line.startswith("| variant"))
    assert "| IoU_occupied | Δ IoU_occupied |" in header and "| NDS |" in header
    row = next(line for line in out.splitlines() if "4.0" in line and line.startswith("|"))
    assert len(re.findall(r"[+-]\d\.\d{3} \[[+-]\d\.\d{3}, [+-]\d\.\d{3}\]", row)) == 3
    assert signal.getsignal(signal.SIGTERM) == before  # the caller's handler is restored


def test_a_model_may_have_the_custom_head_alone(example):
    """A model without a center head is valid; the custom head's metric is its headline."""
    from bev.evaluation.evaluation import headline

    plain = replace(example.model, head=CenterHeadConfig(tasks=()))
    assert headline(plain, example.data) == "IoU_occupied"
    with pytest.raises(ConfigError, match="The model predicts nothing"):
        DetectorConfig(head=CenterHeadConfig(tasks=()))


def test_the_head_learns_more_than_a_constant(example):
    """Overfit one scene; the best constant, all occupied, has the occupied share as IoU."""
    torch.manual_seed(0)
    points = torch.rand(40, 3) * torch.tensor([6.0, 8, 1]) + torch.tensor([-2.0, -4, 1])
    batch = batch_of(points.tolist())
    spec = FeatureSpec(16, GRID, example.model.labels, 16, 8)
    head, bev = example.model.occupancy.build(spec), torch.randn(1, 16, 8, 6)
    features = Features(bev, bev.new_zeros(1, 1, 1, 1, 1), None)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        head.loss(head(features), batch)["occupancy"].backward()
        optimizer.step()
    own = evaluators(replace(example.model, grid=GRID), example.data)["occupancy"]
    own.update(head(features), batch)
    share = example.model.occupancy.ground_truth(batch, GRID).float().mean().item()
    assert 0.3 < share < 0.7
    assert own.figures(sum(own.samples.values()))["IoU_occupied"] > share + 0.2


def test_the_head_refuses_data_without_lidar(example):
    config = replace(example, data=replace(example.data, lidar=False))
    with pytest.raises(ConfigError, match="learnt from lidar points: set --data.lidar"):
        config.model.occupancy.check_data(config.model, config.data)
