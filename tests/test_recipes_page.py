"""The page on recipes shows the fields of today's configs."""

import ast
import os
import re
from pathlib import Path

import pytest
from published_recipes import RECIPES
from recipes_page import CONFIGS, page, rows

from bev.config import load_file, shipped_configs
from bev.lab.convert.published import FAMILIES

# What the docstring of a config says of a row that differs, or of the row's field.
NAMED = {
    "backbone.checkpointing": "activations are stored", "backbone.mean": "normalised as RGB",
    "backbone.std": "normalised as RGB", "backbone.name": "backbone's depth",
    "backbone.strides": "stride 16", "neck.eps": "batch norm of the neck",
    "view.truncate": "below .* left out", "depth_net.batch_norm": "batch norm",
    "depth_net.parameters": "parameters", "depth_net.deformable": "deformable",
    "view.z": "heights", "view.channels": "BEV encoder", "temporal.times": "time between",
    "head.tasks": "the task", "segmentation.layers": "the task", "polygons.layers": "the task",
    "decode.window": "3x3 maxima", "decode.distance": "barriers by IoU",
    "decode.nms": "rotated suppression", "image_size": "image size", "narrow_left": "centred",
    "crop_top": "crop windows",
    "train.epochs": "300,000 steps", "train.precision": "bf16", "image warp": "OpenCV",
    "unknown velocities": "velocities are masked", "10 m up or down": "10 m",
    "initial weights": "PyTorch", "written boxes": "centres of boxes", "ego frame": "ego frame",
    "loss normaliser": "loss is divided", "calibration input": "calibration",
    "end of the MLP": "linear layers", "depth labels": "depth labels",
    "precision of": "head too|bf16", "BEV encoder": "BEV encoder", "momentum": "momentum",
    "dropped blocks": "dropped in training", "training ground truth": "ground truth",
    "coordinates of samples": "W / ", "all other": "lss_r50",
}  # fmt: skip
MACHINE = "train.devices"
PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_field_is_published_or_ours_alone_and_every_difference_has_a_reason(recipe):
    found = list(rows(recipe))
    assert len({row[0] for row in found}) == len(found)


def test_the_page_shows_the_configs_of_today():
    """``BEV_WRITE=1 pytest tests/test_recipes_page.py`` writes the page."""
    if os.environ.get("BEV_WRITE"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()


def docstring(recipe: str) -> str:
    """Docstring of a config and of those whose deviations it has too."""
    text = ast.get_docstring(ast.parse((CONFIGS / f"{recipe}.py").read_text()))
    text = " ".join(text.split())
    deviations = text[text.find("Deviations") :]
    others = {name for name in re.findall(r"``(\w+)``", deviations) if name in RECIPES}
    return " ".join([text, *(docstring(name) for name in sorted(others - {recipe}))])


def test_faults_of_published_code_are_reproduced_for_published_weights_alone():
    """The folded row of the pooling, and narrow images at the left."""
    published = {one.config for one in FAMILIES.values()}
    for name in shipped_configs():
        if "/" in name:  # a study or a search
            continue
        config = load_file(name)
        lift = getattr(config.model.view, "lift", config.model.view)
        switches = getattr(lift, "truncate", False), config.data.image_augmentation.narrow_left
        assert switches == (name in published,) * 2, name
    assert len(published) == 5


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_docstring_of_a_config_names_every_deviation(recipe):
    text = docstring(recipe)
    for field, _, _, why in rows(recipe):
        if why != "-" and MACHINE not in field:
            words = [words for part, words in NAMED.items() if part in field]
            assert words, field
            assert re.search(words[0], text), (field, words[0])
