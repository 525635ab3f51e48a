"""A run that is stopped anywhere and resumed has bit for bit the results of an unbroken run."""

import csv
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR
from torchvision.transforms import v2

from bev.data.images.grid_mask import GridMask
from bev.data.sampling import SamplingConfig
from bev.errors import CheckpointError
from bev.models import Detector
from bev.training.checkpoint.loading import check_resumable, read_checkpoint
from bev.training.checkpoint.signals import Stopped
from bev.training.module import TrainingModule
from bev.training.run import train


@pytest.fixture(scope="module")
def watched():
    """Batches seen, as (tokens, sum of the pixels), and functions to call before given steps.

    The loss draws from torch's generator, as dropout would, so its state affects the weights.
    """
    seen, breaks = [], {}
    plain, step = Detector.loss, TrainingModule.training_step

    def loss(self, batch):
        return {name: term * (0.5 + torch.rand(())) for name, term in plain(self, batch).items()}

    def training_step(self, batch, index):
        seen.append((batch.tokens, batch.views.images.long().sum().item()))
        breaks.pop(len(seen), lambda: None)()
        return step(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Detector, "loss", loss)
        patch.setattr(TrainingModule, "training_step", training_step)
        yield seen, breaks


@pytest.fixture(autouse=True)
def fresh(watched):
    """Clear both records before each test."""
    for record in watched:
        record.clear()


@pytest.fixture(scope="module")
def one_camera(quick):
    """Two epochs of four steps with one camera, and a limit of steps as in most configs."""
    data = replace(quick.data, cameras=("CAM_FRONT",))
    return replace(quick, data=data, train=replace(quick.train, pictures=0, max_steps=1000))


@pytest.fixture(scope="module")
def whole(one_camera, watched):
    """Batches, folder and weights of an unbroken run."""
    return unbroken(one_camera, watched, "whole")


@pytest.fixture(scope="module")
def killed(one_camera, watched):
    """Folder of a run that ended without warning in its seventh step."""
    watched[0].clear()
    watched[1][7] = fail
    config = named(one_camera, "killed", save_minutes=0.0)
    with pytest.raises(MemoryError):
        train(config)
    return config.train.runs / config.name / "killed"


def unbroken(config, watched, name):
    watched[0].clear()
    folder, _ = train(named(config, name))
    return watched[0].copy(), folder, weights(folder)


def weights(folder):
    content = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    return {
        f"{kind}.{name}": value
        for kind in ("state_dict", "current_model_state")
        for name, value in content[kind].items()
    }


def rows(folder):
    """Step and loss of every logged step of all parts of a run, in the order of writing."""
    parts = sorted(folder.glob("metrics_before_resume_*.csv"), key=lambda p: p.stat().st_mtime)
    found = []
    for path in [*parts, folder / "metrics.csv"]:
        with path.open() as file:
            found += [(r["step"], r["train/loss"]) for r in csv.DictReader(file) if r["train/loss"]]
    return found


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def terminate(number=signal.SIGTERM):
    """Function that sends a signal to this process and to its dataloader workers."""

    def send():
        for process in [*multiprocessing.active_children(), multiprocessing.current_process()]:
            os.kill(process.pid, number)

    return send


def fail():
    raise MemoryError("as if killed")


def named(config, name, **fields):
    fields = {"save_minutes": 60.0, **fields}
    return replace(config, train=replace(config.train, run_name=name, **fields))


def last_of(config):
    return config.train.runs / config.name / config.train.run_name / "checkpoints" / "last.ckpt"


@pytest.mark.long
@pytest.mark.parametrize(
    ("workers", "sampling"),
    [(0, "frame"), (2, "class")],
)
def test_a_stopped_and_resumed_run_equals_an_unbroken_run(
    one_camera, watched, request, workers, sampling
):
    """Stopped by a signal within an epoch, twice in a row, at its last step, and by Ctrl-C.

    With sampling by class and dataloader workers: in the middle of an epoch.
    """
    seen, breaks = watched
    config, whole = one_camera, None
    if sampling == "class":
        data = replace(config.data, sampling=SamplingConfig("class"), workers=workers,
                       batch_size=8, fraction=0.5)  # fmt: skip
        config = replace(config, data=data)
        whole = unbroken(config, watched, "whole_class")
        seen.clear()
    expected, folder, final = whole or request.getfixturevalue("whole")
    seen.clear()
    broken = named(config, f"broken_{sampling}")
    epoch = len(expected) // 2
    stops = dict.fromkeys([1, 2, epoch], signal.SIGTERM) | {epoch + 2: signal.SIGINT}  # by step
    if workers:
        stops = {epoch // 2: signal.SIGTERM}
    breaks.update({place: terminate(number) for place, number in stops.items()})
    last = last_of(broken)
    for place in stops:
        with pytest.raises(
            Stopped, match=rf"after step {place}; continue with --resume .*last.ckpt"
        ):
            train(broken, resume=last if last.exists() else None)
        assert read_checkpoint(last)["global_step"] == place
    train(broken, resume=last)
    assert seen == expected
    assert same(weights(last.parents[1]), final)
    assert rows(last.parents[1]) == rows(folder)
    history = last.parents[1] / "evaluation" / "history.jsonl"
    assert len(history.read_text().splitlines()) == 2


@pytest.mark.long
def test_optimiser_schedule_and_augmentation_resume_with_their_states(one_camera, watched):
    """Momentum, position in the rate's cycle, colours and grid masks: bit for bit."""
    seen, breaks = watched
    augmentation = replace(
        one_camera.data.image_augmentation,
        photometric=partial(v2.ColorJitter, 0.4), grid_mask=GridMask(0.7, period=(8, 24)),
    )  # fmt: skip
    config = replace(
        one_camera,
        data=replace(one_camera.data, image_augmentation=augmentation),
        train=replace(
            one_camera.train,
            optimizer=partial(torch.optim.SGD, momentum=0.9), max_steps=-1, validate_every=0,
            schedule=partial(OneCycleLR, pct_start=0.4),
        ),
    )  # fmt: skip
    expected, _, final = unbroken(named(config, "cycle_whole"), watched, "cycle_whole")
    seen.clear()
    breaks[3] = terminate()
    broken = named(config, "cycle")
    with pytest.raises(Stopped):
        train(broken)
    folder, _ = train(broken, resume=last_of(broken))
    assert seen == expected and same(weights(folder), final)
    longer = replace(broken, train=replace(broken.train, epochs=3))
    with pytest.raises(CheckpointError, match="OneCycleLR.* was made for a run of 8 steps"):
        train(longer, resume=last_of(broken))


def test_a_killed_run_resumes_from_its_last_checkpoint(one_camera, watched, whole, killed):
    expected, _, final = whole
    folder = shutil.copytree(killed, killed.with_name("killed_last"))
    last = folder / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 6
    watched[0].clear()
    train(named(one_camera, "killed"), resume=last)
    assert watched[0] == expected[6:]
    assert same(weights(folder), final)


@pytest.mark.long
def test_the_best_checkpoint_resumes_at_the_epochs_end(one_camera, watched, whole, killed):
    """It is written during validation, after the epoch's last batch and before the epoch's end."""
    expected, _, final = whole
    folder = shutil.copytree(killed, killed.with_name("killed_best"))
    best = folder / "checkpoints" / "best.ckpt"
    assert read_checkpoint(best)["KeyFrameData"]["batches"] == 4
    watched[0].clear()
    train(named(one_camera, "killed"), resume=best)
    assert watched[0] == expected[4:]
    assert same(weights(folder), final)


@pytest.mark.long
@pytest.mark.parametrize(
    "limits",
    [{"max_steps": 8}, {"max_steps": 7, "epochs": 5}],
    ids=["at_an_epochs_end", "within_an_epoch"],
)
def test_a_run_stopped_between_epochs_without_validation_resumes(one_camera, watched, limits):
    """The run is also stopped in its last step, after which only the evaluation is left."""
    seen, breaks = watched
    steps = limits["max_steps"]
    name = f"between_{steps}"
    expected, _, final = unbroken(named(one_camera, f"{name}_whole", validate_every=0, **limits),
                                  watched, f"{name}_whole")  # fmt: skip
    assert len(expected) == steps
    seen.clear()
    config = named(one_camera, name, validate_every=0, **limits)
    breaks[4] = breaks[steps] = terminate()
    last = last_of(config)
    for place in (4, steps):
        with pytest.raises(Stopped, match=f"after step {place};"):
            train(config, resume=last if last.exists() else None)
    _, metrics = train(config, resume=last)
    assert metrics is not None and seen == expected
    assert same(weights(last.parents[1]), final)


@pytest.mark.slow
def test_a_finished_run_can_be_extended(one_camera, watched, whole):
    expected, _, final = whole
    watched[0].clear()
    folder, _ = train(named(one_camera, "short", max_steps=3, validate_every=0))
    train(named(one_camera, "short"), resume=folder / "checkpoints" / "last.ckpt")
    assert watched[0] == expected
    assert same(weights(folder), final)


@pytest.mark.slow
def test_the_best_checkpoint_of_a_run_with_fewer_steps_resumes(one_camera, watched, whole):
    """It is validated where it stops, within an epoch, before training releases its weights."""
    expected, _, final = whole
    watched[0].clear()
    folder, _ = train(named(one_camera, "cut", max_steps=3))
    train(named(one_camera, "cut"), resume=folder / "checkpoints" / "best.ckpt")
    assert watched[0] == expected
    assert same(weights(folder), final)


@pytest.mark.long
def test_accumulated_gradients_are_not_lost(one_camera, watched):
    """Within an accumulation of 3 batches, a stopped run completes the optimiser step first.

    A killed run resumes before the accumulation. An epoch of 4 batches has 2 optimiser steps.
    """
    seen, breaks = watched
    config = named(one_camera, "accumulated", accumulate=3, validate_every=0)
    expected, _, final = unbroken(config, watched, "whole_accumulated")
    seen.clear()
    last = last_of(config)
    breaks[2] = terminate()
    with pytest.raises(Stopped):
        train(config)
    assert len(seen) == 3 and read_checkpoint(last)["global_step"] == 1
    breaks[6] = fail  # the second batch of the second epoch
    with pytest.raises(MemoryError):
        train(replace(config, train=replace(config.train, save_minutes=0.0)), resume=last)
    assert read_checkpoint(last)["KeyFrameData"] == {
        "epoch": 1, "batches": 0, "ranks": 1, "visits": 8,
    }  # fmt: skip
    train(config, resume=last)
    assert seen == [*expected[:6], *expected[4:]]
    assert same(weights(last.parents[1]), final)


def test_a_position_within_an_epoch_needs_the_same_sampling(one_camera, killed, whole):
    last = killed / "checkpoints" / "last.ckpt"
    check_resumable(last, one_camera, ranks=1)
    other = replace(one_camera, data=replace(one_camera.data, batch_size=1, fraction=0.5))
    with pytest.raises(CheckpointError) as error:
        check_resumable(last, other, ranks=2)
    for part in ("after 2 batches", "data.batch_size was 2, now 1", "data.fraction was 1.0",
                 "the number of processes was 1, now 2"):  # fmt: skip
        assert part in str(error.value)
    # A checkpoint at an epoch's end resumes with any sampling.
    check_resumable(whole[1] / "checkpoints" / "last.ckpt", other, ranks=2)
