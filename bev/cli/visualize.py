"""Draw samples: predictions of a checkpoint, the ground truth, or the calibration.

bevlab visualize CHECKPOINT [--split SPLIT] [--out DIR]
bevlab visualize lss_r50_mini --data.root DIR [--check]
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from bev.bounds import Natural, NonNegative, Probability
from bev.config import load_file
from bev.data.polygons import PolygonConfig
from bev.data.settings import DataChoice
from bev.errors import print_warnings
from bev.options import parse
from bev.paths import file_name


@dataclass(frozen=True)
class Command:
    """Draw samples: the camera images in their places next to the BEV.

    Attributes:
        source: checkpoint (draws predictions and ground truth) or config (ground truth only).
        split: official or custom split; empty for the validation split.
        out: folder of the PNGs; defaults to pictures/<split>/ of the run, or ./pictures/<split>.
        samples: number of samples, spread over the split; 0 draws all.
        score: score threshold; predictions below are not drawn.
        check: draw lidar points over the images and the BEV instead, to check the calibration;
            only boxes if there is no lidar. Below each image is the network's view of it, to check
            the crop.
        video: frames per second of an additional video.mp4; 0 writes none.
        data: location of the data, if other than in the config.
    """

    source: tyro.conf.Positional[Path]
    split: str = ""
    out: Path | None = None
    samples: Natural = 8
    score: Probability = 0.3
    check: bool = False
    video: NonNegative = 0.0
    data: DataChoice = field(default_factory=DataChoice)


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)

    from tqdm import tqdm

    from bev.data.checks.crop import crop_warnings
    from bev.data.dataset import KeyFrames
    from bev.machine import default_device
    from bev.training.checkpoint import home_of, load_checkpoint
    from bev.visualization.canvas import save_png
    from bev.visualization.check import draw_check
    from bev.visualization.prediction import draw_heads, draw_prediction, spread
    from bev.visualization.video import write_video

    if command.source.suffix in ("", ".py", ".yaml", ".yml"):
        config, model, home = load_file(command.source), None, Path()
    else:
        config, model = load_checkpoint(command.source)
        home = home_of(command.source)
    data = command.data.apply(config.data)
    if command.check:
        data = replace(data, polygons=PolygonConfig())  # polygons are not drawn
    split = command.split or data.splits[1]
    every = data.source.open(data).frames(split)
    print_warnings(crop_warnings(every, data))
    frames = spread(every, command.samples or len(every))
    folder = command.out or home / "pictures" / file_name(split)
    device = default_device()
    batches = KeyFrames(frames, data, training=False)
    paths = []
    for index, frame in enumerate(tqdm(frames, desc="draw", unit="sample")):
        if command.check:
            picture = draw_check(frame, views=batches[index].views)
        elif model is None:
            picture = draw_heads(config.model, frame, batches[index])
        else:
            batch, shown = batches[index].to(device), {"score_threshold": command.score}
            picture = draw_prediction(model.to(device), frame, batch, title=config.name, **shown)
        name = f"{index:04d}_{file_name(frame.token)}{'_check' if command.check else ''}.png"
        paths.append(save_png(picture, folder / name))
    if command.video:
        paths.append(write_video(paths, folder / "video.mp4", command.video))
    print(f"{len(paths)} files in {folder}")
