"""Cache of image features for the inference of temporal models on streams of frames.

A temporal model uses each image several times, first in the current frame and then in adjacent
frames. The output of backbone and neck does not depend on the ego pose, so it is computed once,
cached, and lifted into the BEV frame of each later sample. The result equals recomputation.
"""

from collections.abc import Callable, Collection
from functools import cached_property

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.data.batch import Views
from bev.errors import DataError


class FeatureCache:
    """Features of the latest frames, by frame name; the oldest frame is dropped first.

    For inference only: the features of augmented images are valid for one augmentation only. All
    frames must have the same cameras, as frames are identified by their names.

    Args:
        limit: maximum number of cached frames (8.7 MB each for 6 cameras, 256x704 images, stride 16
            and 512 channels).
    """

    def __init__(self, limit: int = 16) -> None:
        self.limit = limit
        self._features: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self._features)

    @cached_property
    def flipped(self) -> "FeatureCache":
        """Cache of the horizontally flipped images of the same frames."""
        return FeatureCache(self.limit)

    def keep(self, names: Collection[str]) -> None:
        """Drop all frames but those with these names."""
        for name in set(self._features) - set(names):
            del self._features[name]
        if "flipped" in vars(self):
            self.flipped.keep(names)

    def get(
        self,
        views: Views,
        compute: Callable[[UInt8[Tensor, "_ N 3 H W"]], Float[Tensor, "_ N C h w"]],
    ) -> Float[Tensor, "B N C h w"]:
        """Features of B frames; frames that are not cached are computed in one batch.

        The images of cached frames are not used; if all frames are cached, images may be empty.

        Raises:
            DataError: if images are empty and a frame is not cached, or if a frame lacks a camera.
        """
        if views.camera_mask is not None:
            raise DataError(
                "A feature cache needs frames that have all cameras; predict without a cache."
            )
        names, images = views.names, views.images
        absent = [i for i, name in enumerate(names) if name not in self._features]
        features = {name: self._features[name] for name in names if name in self._features}
        if absent:
            if images.shape[-1] == 0:
                raise DataError(
                    f"Frame {names[absent[0]]} is not in the feature cache and has no images; pass"
                    " frames in chronological order, or with their images."
                )
            features |= zip((names[i] for i in absent), compute(images[absent]), strict=True)
        self._features |= features
        for name in list(self._features)[: -self.limit]:
            del self._features[name]
        return torch.stack([features[name] for name in names])
