"""Two processes train like one with the joined batch, if their batch norms are synchronised."""

import csv
import json

import pytest
from commands import NO_GPU, ROOT, SMALL, run


def curve(folder):
    """Every logged loss of a run, by the name of the term."""
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    names = [name for name in rows[0] if name.startswith("train/")]
    return {name: [float(row[name]) for row in rows] for name in names}


@pytest.fixture(scope="module")
def joined(synthetic_world, tmp_path_factory):
    """Run folders of one process with batches of 2, and of two processes with batches of 1.

    By SGD: AdamW divides gradients by their own size, and so amplifies rounding.
    """
    runs = tmp_path_factory.mktemp("joined")
    folders = {}
    for name, devices, options in (
        ("one", 1, ()),
        ("two", 2, ("--train.sync-batch-norm",)),
        ("own", 2, ()),
    ):
        run(
            "train.py", ROOT / "configs" / "lss_synthetic.py", "--data.root", synthetic_world,
            "--train.runs", runs, "--train.run-name", name, *SMALL, "--data.workers", "0",
            "--data.batch-size", 2 // devices, "--train.devices", devices, *options,
            "--train.epochs", "3", "--train.log-every", "1", "--train.pictures", "0",
            "--train.tensorboard.no-events", "--train.optimizer", "SGD(momentum=0.9)",
            "--train.lr", "1e-3", "--train.lr-batch", "0",
            variables={**NO_GPU, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        folders[name] = runs / "lss_synthetic" / name
    return folders


@pytest.mark.long
def test_synchronised_norms_give_the_losses_of_the_joined_batch(joined):
    one, two, own = (curve(joined[name]) for name in ("one", "two", "own"))
    assert len(one["train/loss"]) >= 6 and one.keys() == two.keys()
    for name, values in one.items():
        assert two[name] == pytest.approx(values, rel=1e-5), name
    assert own["train/loss"] != pytest.approx(one["train/loss"], rel=1e-3)


@pytest.mark.long
def test_they_are_evaluated_alike(joined):
    one, two = (
        json.loads((joined[name] / "evaluation" / "history.jsonl").read_text().splitlines()[-1])
        for name in ("one", "two")
    )
    minutes = {"training_minutes"}
    assert one.keys() == two.keys() and one["step"] == two["step"]
    for name in one.keys() - minutes - {"AP"}:
        assert two[name] == pytest.approx(one[name], rel=2e-3, abs=1e-3), name
