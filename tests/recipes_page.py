"""The page docs/recipes.md: every field of each recipe beside its published value.

Published values are in ``published_recipes``, ours come from the configs. Each difference needs a
reason in ``WHY``, and each field without a published value is in ``ALONE`` or in an unused part.
"""

import dataclasses
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from published_recipes import RECIPES

from bev.calls import Call
from bev.config import Experiment, load_file
from bev.training.settings import StageConfig

CONFIGS = Path(__file__).parents[1] / "configs"

# Fields without a published counterpart: where the data are and how the run is carried out, options
# of ours that are off, and options that have no effect beside the others.
ALONE = (
    "name", "model.labels.*", "model.backbone.weights", "model.backbone.channels",
    "model.backbone.stem", "model.backbone.image_size", "model.view.ray_features",
    "model.temporal.times", "model.temporal.gradient", "model.temporal.blocks",
    "model.temporal.projection", "model.head.heatmap_loss.balance", "model.head.direction_weight",
    "model.segmentation.weight", "model.segmentation.opencv_figures", "model.image_head.weight",
    "model.encoder.eps", "model.encoder.neck", "data.root", "data.version", "data.train_split",
    "data.val_split", "data.fold", "data.fraction*", "data.sampling.class_weights",
    "data.cameras", "data.missing_cameras", "data.adjacent.step", "data.adjacent.unit",
    "data.adjacent.playback", "data.image_augmentation.stretch", "data.image_augmentation.horizon",
    "data.image_augmentation.photometric", "data.image_augmentation.grid_mask.*",
    "data.image_augmentation.corruption.*",
    "data.polygons.*", "data.min_points", "data.image_cache", "data.workers",
    "train.init.*", "train.tensorboard.*", "train.tracking.*", "train.max_minutes",
    "train.compile", "train.strategy", "train.sync_batch_norm", "train.threads",
    "train.validate_every", "train.save_minutes", "train.pictures", "train.seed",
    "train.deterministic", "train.log_every", "train.runs", "train.run_name",
)  # fmt: skip

WHY = {
    "model.backbone.checkpointing": "costs time and saves memory; the gradients are the same",
    "model.backbone.mean": "red and blue were exchanged by mistake",
    "model.backbone.std": "as the mean",
    "model.view.truncate": "a fault: points below the grid are pooled into its first cell; on in"
    " the configs for published weights",
    "data.image_augmentation.narrow_left": "no side of the image is preferred; on in the"
    " configs for published weights",
    "data.image_augmentation.crop_top": "ours is a fraction of the network's image, so that it"
    " fits any camera",
    "model.head.decode.window": "fewer candidates for suppression; on in the configs for published"
    " weights",
    "model.head.decode.distance": "one kind of suppression; on in the configs for published"
    " weights",
    "model.head.decode.nms": "BEVDet's suppression; `bevdepth_r50_2key` has the published one",
    "train.precision": "bf16 where the hardware computes in it, as range and speed are better;"
    " `--train.precision` sets the published one",
    "train.devices": "all GPUs of the machine; the learning rate follows the batch",
    "train.epochs": "the published 300,000 steps end the run",
    ("bevdepth_r50", "model.neck.eps"): "PyTorch's default; `bevdepth_r50_2key` has the published"
    " one",
    ("bevdepth_r50", "model.view.depth_net.batch_norm"): "a batch norm of the parameters removes"
    " what all cameras of a batch share, in training only",
    ("bevdepth_r50", "model.view.depth_net.parameters"): "describe the network's image fully, all"
    " of order 1",
    ("bevdepth_r50", "model.view.depth_net.deformable"): "slow on CPUs; not measured to help here",
    ("bevdepth_r50", "model.temporal.times"): "adjacent frames need not be equally spaced",
    ("simplebev_r50", "model.backbone.name"): "the depth of the other recipes",
    ("simplebev_r50", "model.backbone.strides"): "features at stride 16, as in the other recipes",
    (
        "simplebev_r50",
        "model.view.z",
    ): "about the ground of the ego frame; published about a camera",
    ("simplebev_r50", "model.view.channels"): "as in `lss_r50`",
    ("simplebev_r50", "model.head.tasks"): "another task: boxes",
    ("simplebev_r50", "model.segmentation.layers"): "another task: boxes",
    ("simplebev_r50", "data.polygons.layers"): "another task: boxes",
    ("simplebev_r50", "data.image_size"): "as in the other recipes",
}

# What no field sets: (published, ours, why), and the recipes it applies to.
_DET = "bevdet* bevdepth*"
BESIDE = (
    (_DET, "image warp", "PIL: resize, crop at whole pixels, rotate", "one warp by OpenCV",
     "faster, sharper, and exact to the pixel"),
    (_DET, "unknown velocities", "0", "masked", "0 would be learnt as standing still"),
    (_DET, "boxes more than 10 m up or down", "dropped in decoding", "kept",
     "the official metrics ignore the height"),
    (_DET, "initial weights of other layers", "Kaiming (head, BEV encoder), Xavier (FPN)",
     "PyTorch's", "not measured to matter"),
    ("bevdet_r50* bevdet4d*", "written boxes", "bottom centres moved up in global coordinates",
     "centres", "a fault: up to 0.21 m on a slope"),
    ("bevdet_r50 bevdet_r50_cbgs bevdet_r50_dev2* bevdet4d*", "ego frame of a sample",
     "at a front camera's time", "at LIDAR_TOP's time",
     "the published lifting and ground truth use different cameras (0.065 m)"),
    ("bevdepth*", "ego frame of a sample", "mean of the cameras' ego frames", "LIDAR_TOP's",
     "each camera has its own time and pose"),
    ("bevdet_r50_first", "loss normaliser", "number of boxes of each process",
     "mean number over the processes", "as in all later releases"),
    ("bevdet4d* bevdepth_r50 bevdepth_r50_2key", "calibration input for the earlier frame",
     "that of the sample", "that of the earlier frame", "it describes the image that is lifted"),
    ("bevdet4d* bevdepth*", "end of the MLP of the depth net", "two linear layers", "one",
     "no activation lies between them"),
    ("bevdet4d*", "depth labels", "pixels rounded", "pixels floored", "a fault of half a pixel"),
    ("bevdepth_r50", "BEV encoder", "ResNet-18 without pooling, SECONDFPN", "BEVDet's",
     "`bevdepth_r50_2key` has the published one"),
    ("bevdepth*", "momentum of the necks' batch norms", "0.01", "0.1", "PyTorch's default"),
    ("bevdepth*", "precision of BEV encoder and head", "32", "as the rest",
     "bf16 has the range of float32"),
    ("lss*", "image warp", "PIL: resize, crop at whole pixels, rotate", "one warp by OpenCV",
     "faster, sharper, and exact to the pixel"),
    ("lss*", "dropped blocks of the backbone", "up to 0.2 in training", "none", "not offered"),
    ("lss*", "momentum of the backbone's batch norms", "0.01", "0.1", "PyTorch's default"),
    ("lss*", "BEV encoder", "7x7 stem, 1x1 shortcuts, first layers' weights 0 at the start",
     "3x3 shortcuts, one more 1x1 convolution", "the encoder of the other recipes"),
    ("lss*", "training ground truth", "filled by OpenCV, border cells included",
     "cells whose centre is inside", "scores of both are reported (`..._opencv`)"),
    ("simplebev*", "coordinates of samples", "stretched by W / (W - 1)", "exact", "a fault"),
    ("simplebev*", "all other fields", "of another task", "those of `lss_r50`",
     "no published detection figure compares"),
)  # fmt: skip

_HEAD = """# Recipes

Every field of each recipe that has a published counterpart: the published value, ours, and why
they differ. Published values are those of the authors' code, also where the paper has others;
ours are read from the config when this page is tested. `-` in the last column: no difference.

Not listed: where the data are and how a run is carried out (`data.root`, `train.save_minutes`,
…), and options that no recipe uses. [results.md](results.md) has the published figures;
[weights.md](weights.md) converts published checkpoints.

The weights of `bevdet*r50*`, `bevdepth_r50*` and `simplebev_r50` are torchvision's first ImageNet
weights, which the authors load by name (timm: `resnet50.tv_in1k`). Lift-Splat-Shoot loads
`efficientnet-b0` of efficientnet_pytorch 0.7, whose file (355c32eb) is a conversion of the
network's authors' weights trained with AutoAugment: the set was exchanged when these appeared,
together with B6 and B7, which exist with AutoAugment only. timm's conversion of the same is
`tf_efficientnet_b0.aa_in1k`, with the same padding at this image size and the same epsilon. The
two files were not compared: neither was at hand.
"""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Fields of a config that are no dataclasses, with their dotted names."""
    if dataclasses.is_dataclass(value) and not isinstance(value, Call):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), f"{path}.{field.name}".lstrip("."))
    else:
        yield path, value


def fields(config: Experiment) -> dict[str, Any]:
    """Fields of an experiment, resolved; of an unused head only the one that turns it off."""
    model = config.model
    found = dict(leaves(config))
    head, labels = model.head, model.label_space
    decode = head.decode.resolved(labels)
    found["model.head.tasks"] = head.resolved_tasks(labels)
    for name in ("nms_rescale_factor", "nms_overlap"):
        found[f"model.head.decode.{name}"] = getattr(decode, name)
    unused = {
        "model.head.*": (head.tasks == (), "model.head.tasks"),
        "model.segmentation.*": (not model.segmentation.layers, "model.segmentation.layers"),
        "model.depth_supervision.*": (
            model.depth_supervision.weight == 0, "model.depth_supervision.weight"
        ),
    }  # fmt: skip
    for pattern, (is_unused, switch) in unused.items():
        for path in fnmatch.filter(found, pattern) if is_unused else ():
            if path != switch:
                del found[path]
    return found


def rows(recipe: str) -> Iterator[tuple[str, str, str, str]]:
    """Rows (field, published, ours, why) of a recipe.

    Raises:
        AssertionError: if a field has neither a published value nor a place in ``ALONE``, or a
            difference no reason.
    """
    published, ours = dict(RECIPES[recipe]), fields(load_file(CONFIGS / f"{recipe}.py"))
    for path, value in ours.items():
        if path not in published:
            alone = any(fnmatch.fnmatch(path, pattern) for pattern in ALONE)
            off = value in ((), 0, False)
            assert alone or off or recipe.startswith("simplebev"), (recipe, path, value)
            continue
        theirs = published.pop(path)
        why = "-"
        if theirs != value:
            why = WHY.get((recipe, path)) or WHY.get(path)
            assert why, (recipe, path, theirs, value)
        yield f"`{path}`", shown(theirs), shown(value), why
    assert published.keys() <= {"model.encoder.eps"}, (recipe, published)  # see BESIDE
    for recipes, *texts in BESIDE:
        if any(fnmatch.fnmatch(recipe, pattern) for pattern in recipes.split()):
            yield tuple(texts)


def shown(value: Any) -> str:
    """A value in a cell of a table."""
    if isinstance(value, StageConfig):
        return _stage(value)
    if isinstance(value, tuple):
        nested = any(isinstance(part, tuple | StageConfig) for part in value)
        return ("; " if nested else ", ").join(map(shown, value)) or "none"
    if isinstance(value, Call):
        return f"`{re.sub(r'torch.optim.(lr_scheduler.)?', '', str(value))}`"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _stage(stage: StageConfig) -> str:
    parts = [f"from {stage.start:g}"]
    parts += [f"{' and '.join(stage.frozen)} frozen"] if stage.frozen else []
    parts += [] if stage.adjacent else ["without adjacent frames"]
    return ", ".join(parts)


def page() -> str:
    """Text of the page."""
    parts = [_HEAD]
    for recipe in RECIPES:
        table = ["| field | published | ours | why |", "| --- | --- | --- | --- |"]
        table += [f"| {' | '.join(row)} |" for row in rows(recipe)]
        parts.append(f"## {recipe}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)
