"""What is reported of the first steps of a training."""

from dataclasses import replace
from pathlib import Path

from bev.config import load_file
from bev.lab.first_steps import losses, speed
from bev.lab.rehearsal import rehearsed
from bev.training.record import RunRecord

CONFIG = Path(__file__).parents[2] / "configs" / "lss_r50.py"


def test_a_few_losses_are_not_called_a_trend(tmp_path):
    def text(count: int) -> str:
        rows = [f"{step},{100 - step}" for step in range(count)]
        (tmp_path / "metrics.csv").write_text("\n".join(["step,train/loss", *rows]))
        return losses(tmp_path)

    assert text(0) == "The run was too short to log a loss."
    assert text(10).endswith("of different samples: 100.0 and 91.0.")
    # Means of the first and the last fifth of 20: 100..97 and 84..81.
    assert text(20) == "The loss went from 98.5 to 82.5 (means of 4 steps)."


def test_the_speed_is_that_of_samples_and_scales_to_an_epoch_of_nuscenes():
    before = load_file(CONFIG)
    after = rehearsed(replace(before, train=replace(before.train, accumulate=2)))
    after = replace(after, data=replace(after.data, image_size=(128, 352)))
    record = RunRecord(100, 4.0, 0, 0, 0, "", processes=1)
    text = speed(before, after, record)
    # 200 samples in 240 s; 28,130 / (200 / 240) = 33,756 s = 9.4 h.
    assert "0.83 samples a second with images of 128x352" in text and "9.4 hours" in text
    assert "its images of 256x704 have 4 times the pixels" in text
    same = replace(after, data=replace(after.data, image_size=before.data.image_size))
    assert speed(before, same, record).endswith("9.4 hours.")
