"""``bevlab evaluate CHECKPOINT``: what is refused before the data are opened."""

from dataclasses import replace

import pytest
from commands import ROOT
from shrunken import shrunken

from bev.cli.evaluate.run import Command, evaluate
from bev.config import load_file
from bev.data.settings import DataChoice
from bev.errors import TrainingError
from bev.models.weights import write_weights
from bev.serialization import to_plain


def test_flip_tta_by_the_flag_alone_is_refused_in_the_lidar_frame(tmp_path):
    config = shrunken(load_file(ROOT / "configs" / "lss_synthetic.py"))
    config = replace(
        config,
        model=replace(config.model, flip_tta=False),
        data=replace(config.data, reference="lidar"),
    )
    path = tmp_path / "model.safetensors"
    write_weights(path, config.model.build().state_dict(), to_plain(config))
    command = Command(path, flip_tta=True, data=DataChoice(root=tmp_path / "none"))
    with pytest.raises(TrainingError, match=r"lidar frame; leave it out \(--flip-tta\)"):
        evaluate(command)
