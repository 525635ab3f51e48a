"""Velocities of tracked objects, from their positions in the frames before and after."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from bev.data.frame import Frame
from bev.geometry import apply_transform, inverse_rigid

LONGEST = 1.5
"""Seconds to the frame before or after an object may be missing; the rule of nuScenes' devkit."""


def with_velocities(frames: Sequence[Frame], named: Sequence[Bool[Tensor, " _"]]) -> list[Frame]:
    """Frames whose boxes have a velocity where it was unknown and the object is tracked.

    The velocity is the difference of the positions in the frames before and after that the object
    is in, divided by the time between them; at the ends of a track, of one of them and of the frame
    itself. It stays unknown where these are more than 3 s (1.5 s) apart.

    Args:
        frames: frames of a sequence in order of time.
        named: boxes of each frame that are tracked, by ``Frame.instances``.
    """
    places: dict[int, list[tuple[float, Tensor]]] = {}
    rows: list[list[tuple[int, int, int]]] = []  # box, object and place in its track
    for frame, tracked in zip(frames, named, strict=True):
        assert frame.instances is not None
        centers = apply_transform(frame.global_from_ego, frame.boxes.center.double())
        rows.append([])
        for box in torch.nonzero(tracked).flatten().tolist():
            instance = int(frame.instances[box])
            track = places.setdefault(instance, [])
            rows[-1].append((box, instance, len(track)))
            track.append((frame.timestamp * 1e-6, centers[box]))
    return [
        _completed(frame, [(box, _velocity(places[one], at)) for box, one, at in own])
        for frame, own in zip(frames, rows, strict=True)
    ]


def _velocity(track: Sequence[tuple[float, Tensor]], at: int) -> Tensor | None:
    """(3,) velocity in the global frame; None if it is unknown."""
    first, last = max(at - 1, 0), min(at + 1, len(track) - 1)
    seconds = track[last][0] - track[first][0]
    longest = LONGEST * (2 if first < at < last else 1)
    if first == last or not 0 < seconds <= longest:
        return None
    return (track[last][1] - track[first][1]) / seconds


def _completed(frame: Frame, found: Sequence[tuple[int, Tensor | None]]) -> Frame:
    velocity = frame.boxes.velocity.clone()
    unknown = ~velocity.isfinite().all(dim=1)
    known = [(box, value) for box, value in found if value is not None and unknown[box]]
    if not known:
        return frame
    select = torch.tensor([box for box, _ in known])
    in_global = frame.boxes[select].double().transform(frame.global_from_ego)
    moving = replace(in_global, velocity=torch.stack([value for _, value in known])[:, :2])
    back = moving.transform(inverse_rigid(frame.global_from_ego))
    velocity[select] = back.velocity.to(velocity)
    return replace(frame, boxes=replace(frame.boxes, velocity=velocity))
