"""Decay of the averaged weights: its formula, and what it leaves of a run's first weights."""

import math
from dataclasses import replace

import pytest
import torch

from bev.config import load_file
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.training.datamodule import KeyFrameData
from bev.training.optimization.averaging import AveragedWeights, bounded_start, ema_decay
from bev.training.run import train
from bev.training.settings import TrainConfig

PUBLISHED = 10_560  # start, and length of the published run


def test_the_decay_follows_its_formula_and_forgets_the_start():
    assert ema_decay(0, 0.999, 10_560) == pytest.approx(0.999 * (1 - math.exp(-10_561 / 2000)))
    assert ema_decay(10**6, 0.999, 0) == pytest.approx(0.999)
    remaining = math.prod(ema_decay(n, 0.999, 0) for n in range(500))
    assert remaining < 1e-6  # a constant decay of 0.999 would leave 0.61


def test_integers_are_copied_and_not_averaged():
    averaged = AveragedWeights(TrainConfig(ema=0.999, ema_start=0), torch.device("cpu"))
    means = [torch.tensor(3), torch.tensor(1.0)]
    averaged._average(means, [torch.tensor(9), torch.tensor(2.0)], torch.tensor(5))
    decay = ema_decay(5, 0.999, 0)
    assert means[0] == 9
    assert means[1].item() == pytest.approx(decay + 2 * (1 - decay))


@pytest.mark.slow
def test_the_weights_saved_by_a_short_run_with_a_late_start_fit(quick):
    """The averaged weights, which are the ``state_dict``, have a loss like that of the current."""
    settings = replace(quick.train, ema_start=PUBLISHED, epochs=20, validate_every=0, pictures=0)
    folder, _ = train(replace(quick, train=replace(settings, run_name="late")))
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    data = KeyFrameData(quick.data, 0)
    data.setup("fit")
    frames = KeyFrames(data.frames["train"], quick.data, training=False)
    batch = collate([frames[number] for number in range(len(frames))])
    model, losses = quick.model.build().eval(), []
    for state in (saved["state_dict"], saved["current_model_state"]):
        weights = {name.removeprefix("model."): value for name, value in state.items()}
        model.load_state_dict(weights)
        with torch.no_grad():
            losses.append(float(sum(model.loss(batch).values())))
    first = quick.model.build().eval()
    with torch.no_grad():
        losses.append(float(sum(first.loss(batch).values())))
    print("averaged, current, untrained:", losses)
    averaged, current, start = losses
    assert averaged < current + 0.2 * (start - current)


def share_and_age(steps: int, start: int) -> tuple[float, float]:
    """Share of the first weights in the average of a run, and mean age of its weights in steps."""
    share, age = 1.0, 0.0
    for n in range(1, steps):
        decay = ema_decay(n, 0.999, start)
        share, age = share * decay, decay * (age + 1)
    return share, age


@pytest.mark.parametrize("steps", [2, 10, 98, 500, 1999, 2640, 2641, 5000, PUBLISHED])
def test_the_average_of_a_run_of_any_length_forgets_its_beginning(steps):
    share, age = share_and_age(steps, bounded_start(PUBLISHED, steps))
    assert share < 0.01 and age < 0.15 * steps
    assert share_and_age(98, PUBLISHED) > (0.5, 0.7 * 98)  # without the bound


@pytest.mark.parametrize(
    ("name", "steps"),
    [("lss_r50", PUBLISHED), ("lss_synthetic", 6800), ("finetune_synthetic", 2000)],
)
def test_runs_of_their_configs_length_are_unchanged(name, steps, request):
    train = load_file(request.config.rootpath / "configs" / f"{name}.py").train
    assert train.max_steps in (steps, -1)
    assert bounded_start(train.ema_start, steps) == train.ema_start


def test_with_a_limit_of_time_the_decay_starts_low():
    """The length of the run is unknown: each average so far forgets the beginning."""
    train = replace(TrainConfig(), ema=0.999, ema_start=PUBLISHED, max_minutes=5.0)
    averaged = AveragedWeights(train, torch.device("cpu"))
    share = 1.0
    for n in range(1, 98):
        means = [torch.tensor(0.0, dtype=torch.float64)]
        averaged._average(means, [torch.ones_like(means[0])], torch.tensor(n))
        share *= 1 - means[0].item()
    assert share < 0.01
