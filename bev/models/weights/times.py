"""A trained network for another number of adjacent frames: what reads the joined times is matched.

Each adjacent frame adds channels to what the BEV encoder reads (see ``bev.models.bev.temporal``).
Frames are matched by their order there. Weights of a frame that is new begin at zero, so that a
network of more frames, with the same layers otherwise, begins as the one that was trained.
"""

from collections.abc import Mapping

from torch import Tensor

from bev.models.bev.temporal import TemporalConfig


def matched_by_times(
    state: Mapping[str, Tensor],
    there: TemporalConfig,
    here: TemporalConfig,
    channels: int,
    model: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], list[str]]:
    """The same tensors, those that read the joined times with the inputs that they have here.

    Args:
        state: a detector's tensors, with any prefix.
        there, here: how its times are joined, and those of the model to fill.
        channels: of one time, in the model to fill.
        model: the ``state_dict()`` to fill.

    Returns:
        The tensors, and the names in the model of those that have other inputs.
    """
    before, after = there.layout(channels), here.layout(channels)
    places = {label: number for number, label in enumerate(before)}
    kept = [(number, places[label]) for number, label in enumerate(after) if label in places]
    result, changed = dict(state), []
    if len(before) == len(after):
        return result, changed
    for name, value in state.items():
        own = name[max(name.find("encoder."), 0) :]
        target = model.get(own)
        if not own.startswith("encoder.") or target is None:
            continue
        alike = value.ndim == target.ndim == 4 and (
            (len(value), *value.shape[2:]) == (len(target), *target.shape[2:])
        )
        # Other inputs stand before those of the times.
        others = value.shape[1] - len(before) if alike else -1
        if others < 0 or target.shape[1] - len(after) != others:
            continue
        filled = value.new_zeros(target.shape)
        filled[:, :others] = value[:, :others]
        for to, source in kept:
            filled[:, others + to] = value[:, others + source]
        result[name] = filled
        changed.append(own)
    return result, changed
