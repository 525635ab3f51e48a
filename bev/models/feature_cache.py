"""Image features kept from frame to frame, so that a stream of frames is looked at once.

A temporal model sees each image again and again, as the present and then as the past. What the
backbone and neck make of it does not depend on where the car is, so it is kept, and lifted anew
into each later frame: the result is that of recomputing, not an approximation.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.data.batch import Views
from bev.errors import DataError


class FeatureCache:
    """Features of the latest frames, by name; the oldest is dropped first.

    For inference: features of augmented images are those of one draw alone. Every frame must have
    the same cameras, as a frame is told by its name alone.

    Args:
        limit: frames kept (for 6 cameras at stride 16 of 256x704 and 512 channels, 8.7 MB each).
    """

    def __init__(self, limit: int = 16) -> None:
        self.limit = limit
        self._features: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self._features)

    @cached_property
    def flipped(self) -> "FeatureCache":
        """Of the same frames' mirror images."""
        return FeatureCache(self.limit)

    def get(
        self,
        views: Views,
        compute: Callable[[UInt8[Tensor, "_ N 3 H W"]], Float[Tensor, "_ N C h w"]],
    ) -> Float[Tensor, "B N C h w"]:
        """Features of B frames; only those that are not kept are computed, together.

        Images of kept frames are not looked at, and where all are kept they may be empty.

        Raises:
            DataError: where a frame is not kept and its images are empty, which is named, and
                where one lacks a camera.
        """
        if views.camera_mask is not None:
            raise DataError("A feature cache needs frames that have all cameras; use none.")
        names, images = views.names, views.images
        absent = [i for i, name in enumerate(names) if name not in self._features]
        found = {name: self._features[name] for name in names if name in self._features}
        if absent:
            if images.shape[-1] == 0:
                raise DataError(
                    f"Frame {names[absent[0]]} is not in the feature cache and comes without"
                    " images; feed frames in the order of time, or with their images."
                )
            found |= zip((names[i] for i in absent), compute(images[absent]), strict=True)
        self._features |= found
        for name in list(self._features)[: -self.limit]:
            del self._features[name]
        return torch.stack([found[name] for name in names])
