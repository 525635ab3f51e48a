"""Comparison of one backbone of each family at one image size: feature maps and time of a step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bev.errors import BevError
from bev.lab.benchmark.receptive import backbone_fields
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.timing import Work, median_seconds
from bev.models import BackboneConfig
from bev.models.image.backbone import Backbone

REFERENCE = "resnet50"
FAMILIES = {
    "ResNet": REFERENCE,
    "ResNeXt": "resnext50_32x4d",
    "SENet": "legacy_seresnet50",
    "VGG": "vgg16",
    "DenseNet": "densenet121",
    "Inception-v3": "inception_v3",
    "Inception-v4": "inception_v4",
    "Inception-ResNet-v2": "inception_resnet_v2",
    "Xception": "legacy_xception",
    "PNASNet": "pnasnet5large",
    "EfficientNet": "efficientnet_b0",
    "EfficientNet-lite": "tf_efficientnet_lite0",
    "ConvNeXt": "convnext_tiny",
    "Swin": "swin_tiny_patch4_window7_224",
}


@dataclass(frozen=True)
class Row:
    """Results of one backbone.

    Attributes:
        family: name of the family.
        model: name of the model in timm.
        parameters: number of parameters of the feature extractor up to stride 32.
        cells: rows x columns of the feature maps at strides 16 and 32.
        offset: computed offset (right, down) of the receptive field centres of the map at stride 16
            from the pixels that the frustum runs through, pixels; empty if it cannot be computed.
        ratio: time of a forward and backward pass, relative to the reference.
        fault: error message if the model cannot be timed.
    """

    family: str
    model: str
    parameters: int = 0
    cells: str = ""
    offset: str = ""
    ratio: float = 0.0
    fault: str = ""


def run(
    out: Path,
    image_size: tuple[int, int],
    images: int,
    device: torch.device,
    seconds: float,
    families: Mapping[str, str] = FAMILIES,
) -> list[Row]:
    """Inspect and time a model of each family; print the table and write backbones.csv.

    Args:
        out: output folder of backbones.csv.
        image_size: size of the images (H, W), pixels.
        images: number of images per pass.
        device: device to run on.
        seconds: time after which no new round of measurements starts, seconds; at least 3 rounds
            are measured.
        families: model names by family, including the reference.
    """
    rows, works = {}, {}
    for family, name in families.items():
        try:
            backbone = BackboneConfig(name, pretrained=False).build()
            rows[name] = _inspect(family, backbone, image_size)
            works[name] = _pass(backbone.to(device).train(), image_size, images)
            works[name]()
        except (BevError, RuntimeError) as error:
            works.pop(name, None)
            rows[name] = Row(family, name, fault=str(error).splitlines()[0])
    times = median_seconds(works, device, seconds=seconds)
    reference = times.get(REFERENCE, float("nan"))
    results = [
        replace(row, ratio=times[name] / reference) if name in times else row
        for name, row in rows.items()
    ]
    print(table(results))
    write_csv(results, out / "backbones.csv")
    return results


def _inspect(family: str, backbone: Backbone, image_size: tuple[int, int]) -> Row:
    sizes = backbone.feature_sizes(image_size)
    field, stride = backbone_fields(backbone.config, image_size)[0], backbone.strides[0]
    offset = ""
    if field is not None and field.step == (stride, stride):
        axes = zip(field.first, sizes[0][::-1], image_size[::-1], strict=True)
        right, down = (
            first - length / 2 + (count - 1) / 2 * stride for first, count, length in axes
        )
        offset = f"{right:+.1f} {down:+.1f}"
    return Row(
        family,
        backbone.config.name,
        sum(p.numel() for p in backbone.parameters()),
        " ".join(f"{rows}x{columns}" for rows, columns in sizes),
        offset,
    )


def _pass(backbone: Backbone, image_size: tuple[int, int], count: int) -> Work:
    """A forward and backward pass of random images."""
    parameters = list(backbone.parameters())
    device = parameters[0].device
    images = torch.randint(0, 256, (count, 3, *image_size), dtype=torch.uint8, device=device)

    def work() -> None:
        loss = sum(level.square().mean() for level in backbone(images))
        torch.autograd.grad(loss, parameters)

    return work


def table(rows: list[Row]) -> str:
    """Human-readable table of the rows."""
    lines = [
        f"{'family':20} {'model':29} {'M parameters':>12} {'cells at 16, 32':>15}"
        f" {'field offset':>13} {'time':>6}"
    ]
    for row in rows:
        start = f"{row.family:20} {row.model:29}"
        if row.fault:
            lines.append(f"{start} {row.fault}")
        else:
            lines.append(
                f"{start} {row.parameters / 1e6:12.1f} {row.cells:>15} {row.offset:>13}"
                f" {row.ratio:6.2f}"
            )
    return "\n".join(lines)
