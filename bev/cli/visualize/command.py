"""Options of ``bevlab visualize``, and which of them fit together."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from bev.bounds import Bound, Count, Length, Natural, NonNegative, Probability
from bev.config import Experiment, load_file
from bev.data.settings import DataChoice
from bev.errors import ConfigError, count_of

if TYPE_CHECKING:
    from bev.models import Detector

Port = Annotated[int, Bound(least=0, most=2**16 - 1)]
Kind = Literal["mosaic", "depth", "depth-targets", "features", "heatmaps", "cameras", "maps"]


@dataclass(frozen=True)
class ViewerOptions:
    """Options of the viewer.

    Attributes:
        viewer: show the scene, or the first one of the split, in three dimensions in a browser;
            the address is printed.
        record: file (.bevrec) that keeps what the viewer shows; ``visualize FILE.bevrec`` opens it
            without the data.
        host: address that the viewer listens at; 0.0.0.0 makes it reachable from other machines.
        port: its port, or the first one from which on a free one is looked for; 0 for any.
    """

    viewer: bool = False
    record: Path | None = None
    host: str = "127.0.0.1"
    port: Port = 8080

    @property
    def wanted(self) -> bool:
        """Whether the viewer or its recording is asked for."""
        return self.viewer or self.record is not None


@dataclass(frozen=True)
class Command:
    """Draw samples: the camera images in their places next to the BEV, or what a network computes.

    Attributes:
        sources: checkpoint or shipped model (draws predictions and ground truth), or config (ground
            truth only); or up to four results files and checkpoints, whose boxes are drawn in one
            picture in different lines. A results file of nuScenes' format needs --data.root,
            --data.version and --split, or a config or checkpoint beside it. Or a recording of the
            viewer (.bevrec).
        split: official or custom split; empty for the validation split.
        out: folder of the pictures; defaults to pictures/<split>/ of the run, or
            ./pictures/<split>.
        samples: number of samples, spread over the split; 0 draws all.
        scene: draw the samples of this scene alone.
        show: kinds of pictures. "mosaic": images and BEV with boxes and maps; "depth": expected
            depth and its entropy; "depth-targets": targets of depth supervision; "features": energy
            and principal components of the BEV features; "heatmaps": one for each class; "cameras":
            what each camera contributes to the BEV; "maps": segmentation and other maps of heads.
        layer: names of layers whose activations are drawn too, such as backbone.layer2.
        score: score threshold; predictions below are not drawn. One for all sources, or one each.
        scores: write the scores beside the boxes.
        tracks: seconds of the past positions of annotated objects; 0 draws none.
        camera_width: width of each camera image, pixels.
        theme: dark or light ground.
        svg, pdf: also write the BEV of each mosaic as a vector graphic.
        check: draw lidar points over the images and the BEV instead, to check the calibration;
            only boxes if there is no lidar. Below each image is the network's view of it, to check
            the crop.
        video: MP4 file to write instead of pictures: the scene, or the first one of the split.
        rate: pictures of the video: the key frames, or also the images between them with
            interpolated ground truth.
        fps: pictures per second of the video; 0 plays it as fast as it was recorded.
        view: the viewer.
        data: location of the data, if other than in the config.
    """

    sources: tyro.conf.Positional[tuple[Path, ...]]
    split: str = ""
    out: Path | None = None
    samples: Natural = 8
    scene: str = ""
    show: tuple[Kind, ...] = ("mosaic",)
    layer: tuple[str, ...] = ()
    score: Annotated[tuple[Probability, ...], Length(least=1)] = (0.3,)
    scores: bool = False
    tracks: NonNegative = 3.0
    camera_width: Count = 480
    theme: Literal["dark", "light"] = "dark"
    svg: bool = False
    pdf: bool = False
    check: bool = False
    video: Path | None = None
    rate: Literal["key_frames", "sweeps"] = "key_frames"
    fps: NonNegative = 0.0
    view: tyro.conf.OmitArgPrefixes[ViewerOptions] = field(default_factory=ViewerOptions)
    data: DataChoice = field(default_factory=DataChoice)


def is_config(source: Path) -> bool:
    """True for the file or name of a config, which may not exist."""
    from bev.models.weights.shipped import SHIPPED

    return source.suffix in ("", ".py", ".yaml", ".yml") and str(source) not in SHIPPED


def open_config(source: Path) -> Experiment:
    """Load a config; the message for an unknown name lists the shipped models too."""
    from bev.models.weights.shipped import shipped_names

    try:
        return load_file(source)
    except ConfigError as error:
        known = "" if source.exists() else f" {shipped_names()}"
        raise ConfigError(f"{error}{known}") from error


def is_results(source: Path) -> bool:
    """True for a results file."""
    return source.suffix.lower() == ".json"


def check_one(command: Command, config: Experiment, model: "Detector | None") -> None:
    """Check that the flags fit a checkpoint or config and one another.

    Raises:
        ConfigError: names the flags and what to do.
    """
    kinds = [*command.show, *command.layer]
    internal = [name for name in kinds if name != "mosaic"]
    if len(command.score) > 1:
        raise ConfigError(f"--score has {len(command.score)} values for one source; set one.")
    if model is None and internal:
        raise ConfigError(
            f"{internal[0]!r} is computed by a trained network, and {command.sources[0]} is a"
            " config; name a checkpoint."
        )
    if command.video is None:
        return
    if len(kinds) != 1:
        raise ConfigError(
            f"A video shows one kind of picture, not {len(kinds)} ({', '.join(kinds)}); choose one"
            " by --show, or by --show and --layer NAME."
        )
    if command.rate == "sweeps" and model is not None and config.data.adjacent.offsets():
        raise ConfigError(
            "The model joins adjacent frames, which images between key frames do not have; set"
            " --rate key_frames."
        )
    if command.rate == "sweeps" and config.data.polygons.layers and not command.check:
        raise ConfigError(
            "Segmentation has ground truth at key frames only; set --rate key_frames."
        )


def check_several(command: Command, most: int) -> None:
    """Check that the flags fit results files, or several sources, and one another.

    Args:
        command: the options.
        most: number of line styles.

    Raises:
        ConfigError: names the flags and what to do.
    """
    drawn = [source for source in command.sources if not is_config(source)]
    if (configs := len(command.sources) - len(drawn)) > 1:
        raise ConfigError(
            f"{configs} configs are named; one gives the data, the others must be results files or"
            " checkpoints."
        )
    if not 1 <= len(drawn) <= most:
        raise ConfigError(
            f"{len(drawn)} sources of predictions are named; a picture shows 1 to {most} of them."
        )
    if len(command.score) not in (1, len(drawn)):
        raise ConfigError(
            f"--score has {count_of(len(command.score), 'value')} for"
            f" {count_of(len(drawn), 'source')} of predictions; set one for all, or one for each."
        )
    other = [name for name in (*command.show, *command.layer) if name != "mosaic"]
    other += ["--check"] * command.check
    if other or not command.show:
        raise ConfigError(
            f"{other[0] if other else '--show without a kind'} is a picture of one checkpoint or"
            " config; results files and several sources are drawn as mosaics."
        )
    if command.rate == "sweeps":
        raise ConfigError("Predictions of files are of key frames; set --rate key_frames.")
