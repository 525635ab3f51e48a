"""Rehearsal of a training, in minutes and on the synthetic world, where the data are missing.

First a trained network that comes with the package detects objects in held-out frames of the world.
Then the experiment, with a few fields changed, trains its first steps from random weights. What
these show is that every part works, and how fast it is on the machine: a few dozen steps teach a
network nothing, so it is not evaluated.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bev.config import Experiment
from bev.data.dataset import KeyFrames
from bev.errors import TrainingError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.predict import predict
from bev.lab.first_steps import losses, speed
from bev.lab.synthetic import PRESETS, VAL_SPLIT, VERSION, make_world
from bev.machine import default_device, rank, started_by
from bev.models.weights.shipped import SHIPPED
from bev.serialization import differences
from bev.training.checkpoint import load_checkpoint
from bev.training.datamodule import make_loader
from bev.training.record import RunRecord
from bev.training.run import FinishedRun, train
from bev.training.settings import TrainConfig
from bev.visualization.canvas import save_png
from bev.visualization.prediction import draw_prediction, spread
from bev.visualization.report.page import PAGE, Page, write_page
from bev.visualization.report.pictures import data_uri
from bev.visualization.report.provenance import provenance
from bev.visualization.report.training import training_curves

WORLD = Path("data/synthetic-tiny")
MINUTES = 1.75
MODEL = SHIPPED["synthetic"]
PICTURES = 2

_LINE = "=" * 90

_NOTICE = """
{line}
 REHEARSAL: there is no data in {root}, so this run uses a synthetic driving world.
 This is NOT nuScenes.
{line}
"""

_SHOWN = """
{line}
 Detections of {name!r}, a network of {millions:.1f} M parameters that comes with bevlab, trained on
 other scenes of this synthetic world (docs/models.md), in {count} held-out frames:
   mAP {mean_ap:.3f}, NDS {nds:.3f}  (in 140 frames: {card_ap:.3f}, {card_nds:.3f})
 Pictures, predictions in colour and ground truth in white:
{pictures}
{line}

 Now {config} begins its training, from random weights, for {minutes:g} minutes. Changed for this:
{changes}
"""

_NEXT = """
{line}
 {experiment} has trained {steps} steps on the synthetic world: its parts work on this machine.
 {losses}
 {speed}
 So few steps teach a network nothing, and it was not evaluated.
 The page of this run, which begins with the pictures: {page}

 With nuScenes (https://www.nuscenes.org/nuscenes#download) unpacked so that
 data/nuscenes/v1.0-trainval, data/nuscenes/samples and data/nuscenes/maps exist:
   bevlab train {config}

 More pictures of {name!r}:
   bevlab visualize {name} --data.root {world}
 To train a network that learns on a CPU, on a larger synthetic world (two hours on 2 cores):
   bevlab make-synthetic data/synthetic-default
   bevlab train bevdepth_synthetic
{line}
"""


@dataclass(frozen=True)
class Shown:
    """Detections of the shipped model in the held-out frames of the world.

    Attributes:
        frames: number of frames.
        figures: mAP, NDS and the other figures of these frames.
        pictures: drawn frames by their files, (H, W, 3) uint8 RGB.
    """

    frames: int
    figures: dict[str, float]
    pictures: dict[Path, np.ndarray]


def rehearse(config: Experiment, name: str, resume: Path | None = None) -> Path:
    """Generate the tiny world, show detections of the shipped model, and train first steps.

    Args:
        config: the experiment, whose data are missing.
        name: name or path of the config, as given on the command line.
        resume: checkpoint of a rehearsal to resume.

    Returns:
        Run folder.

    Raises:
        TrainingError: if run under torchrun or srun; a rehearsal is for one machine without data.
    """
    if launcher := started_by():
        raise TrainingError(
            f"There is no data in {config.data.root}, and a rehearsal cannot run under {launcher};"
            f" set --data.root, or start without {launcher}."
        )
    changed, finish = rehearsed(config), []
    if rank() == 0:
        print(_NOTICE.format(line=_LINE, root=config.data.root), flush=True)
        make_world(WORLD, PRESETS["tiny"])
        finish = [partial(report_rehearsal, shown=show_shipped(config, changed))]
    folder, result = train(changed, resume, finish=finish, evaluate=False)
    if result is not None:
        print(next_steps(name, config, changed, folder))
    return folder


def rehearsed(config: Experiment) -> Experiment:
    """The experiment with the changes for a rehearsal."""
    data = dataclasses.replace(
        config.data, root=WORLD, version=VERSION, train_split="", val_split="", fold="",
        batch_size=1,
    )  # fmt: skip
    backbone = config.model.backbone.without_weights()
    train = dataclasses.replace(
        config.train,
        epochs=1000,
        max_minutes=MINUTES,
        warmup_steps=2,
        lr_batch=0,
        schedule=TrainConfig.schedule,
        stages=TrainConfig.stages,
        validate_every=0,
        log_every=1,
        ema_start=0,
        devices=config.train.devices or 1,
        runs=config.train.runs / "rehearsal",
    )
    if not torch.cuda.is_available():
        data = dataclasses.replace(data, image_size=(128, 352))
    return dataclasses.replace(
        config, data=data, train=train, model=dataclasses.replace(config.model, backbone=backbone)
    )


def show_shipped(before: Experiment, after: Experiment) -> Shown:
    """Score and draw the detections of the shipped model, and print them.

    The pictures and the results file are written below the rehearsal's runs, in a folder of the
    model's name.

    Args:
        before: the experiment as it was.
        after: the experiment that is trained next, see :func:`rehearsed`.
    """
    folder = after.train.runs / MODEL.name
    config, model = load_checkpoint(MODEL.path)
    device = default_device()
    model = model.to(device)
    # Without depth from lidar, which is not needed; in this process: workers take seconds to start.
    data = dataclasses.replace(
        config.data, root=WORLD, version=VERSION, lidar=False, batch_size=2, workers=0
    )
    source = data.source.open(data)
    frames = source.frames(VAL_SPLIT)
    samples = KeyFrames(frames, data, training=False)
    evaluation = predict(model, make_loader(samples), device)
    place = EvaluatedSplit(source, VAL_SPLIT, folder / "evaluation" / VAL_SPLIT)
    figures = evaluation.compute(place).scalars()
    drawn = spread(frames, PICTURES)
    batches = KeyFrames(drawn, data, training=False)
    pictures = {}
    for number, frame in enumerate(drawn):
        path = folder / "pictures" / f"{number + 1}.png"
        batch = batches[number].to(device)
        pictures[path] = draw_prediction(model, frame, batch, title=MODEL.name)
        save_png(pictures[path], path)
    changed = differences(before, after)
    print(
        _SHOWN.format(
            line=_LINE,
            name=MODEL.name,
            millions=MODEL.parameters / 1e6,
            count=len(frames),
            mean_ap=figures["mAP"],
            nds=figures["NDS"],
            card_ap=MODEL.mean_ap,
            card_nds=MODEL.nds,
            pictures="\n".join(f"   {path}" for path in pictures),
            config=before.name,
            minutes=MINUTES,
            changes="\n".join(f"   {name}: {was} -> {now}" for name, was, now in changed),
        ),
        flush=True,
    )
    return Shown(len(frames), figures, pictures)


def report_rehearsal(run: FinishedRun, shown: Shown) -> Path:
    """Write the ``report.html`` of a rehearsal: the shipped model's pictures, then the losses."""
    name, figures = run.config.name, shown.figures
    first = (
        f"Detections of {MODEL.name!r}, a trained network that comes with bevlab, in a held-out"
        " frame of the synthetic world: predictions in colour, ground truth in white. In"
        f" {shown.frames} frames: mAP {figures['mAP']:.3f}, NDS {figures['NDS']:.3f}."
    )
    captions = [first, *["The same in another frame."] * (len(shown.pictures) - 1)]
    pictures = map(data_uri, shown.pictures.values())
    page = Page(
        title=f"Rehearsal of {name}",
        subtitle=str(run.folder),
        notices=[
            "A rehearsal on a synthetic world, not nuScenes. The pictures show detections of the"
            f" network {MODEL.name!r} of the package. The curves are of the first steps of {name}"
            " from random weights, which teach it nothing: it was not evaluated."
        ],
        pictures=list(zip(captions, pictures, strict=True)),
        pictures_first=True,
        training=training_curves(run.folder),
        config_text=(run.folder / "config.yaml").read_text(encoding="utf-8"),
        provenance=provenance(),
    )
    return write_page(run.folder, page)


def next_steps(name: str, before: Experiment, after: Experiment, folder: Path) -> str:
    """Closing message of a rehearsal: losses, speed, and the commands to run next.

    Args:
        name: name or path of the config, as given on the command line.
        before: the experiment as it was.
        after: the experiment that was trained.
        folder: run folder of the finished run.
    """
    record = RunRecord.read(folder)
    return _NEXT.format(
        line=_LINE,
        config=name,
        experiment=before.name,
        steps=record.steps,
        losses=losses(folder),
        speed=speed(before, after, record),
        page=folder / PAGE,
        name=MODEL.name,
        world=WORLD,
    )
