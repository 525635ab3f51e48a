"""Input size: height and width of the network's images, pixels, and the crop.

All variants keep the whole width of the image. The last two keep 128 rows around the horizon at 1.5
times the resolution of the first; one of them has that resolution along rows only, at the same cost
as the first.
"""

from lss_synthetic import config as base

from bev.lab.ablation import Study, vary

CROPPED = "--data.image-augmentation.crop-top 0.33 0.33"

study = Study(
    base,
    {
        **vary("data.image_size", "128 352", "64 176", "192 528", "256 704"),
        "128 528, cropped": f"--data.image-size 128 528 {CROPPED}",
        "128 352, rows stretched": (
            f"--data.image-size 128 352 --data.image-augmentation.stretch 1.5 {CROPPED}"
        ),
    },
)
