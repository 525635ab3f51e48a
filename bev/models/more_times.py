"""A trained network for another number of times: what reads the joined times is matched by time.

Each adjacent frame adds channels to what the BEV encoder reads (see ``bev.models.temporal``).
Weights of the times that both networks have are kept; those of a time that is new begin at zero, so
that a network of more times begins as the one that was trained.
"""

from collections.abc import Mapping

from torch import Tensor

from bev.models.temporal import TemporalConfig


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
        channels: of one time, in both.
        model: the ``state_dict()`` to fill.

    Returns:
        The tensors, and a sentence where any have other inputs now.
    """
    before, after = there.layout(channels), here.layout(channels)
    more = len(after) - len(before)
    result, notes = dict(state), []
    for name, value in state.items():
        at = name.find("encoder.")
        target = model.get(name[at:]) if at >= 0 else None
        reads = target is not None and value.ndim == 4 and value.shape[1] >= len(before)
        if not more or not reads or target.shape[1] - value.shape[1] != more:
            continue
        filled = value.new_zeros(len(value), value.shape[1] + more, *value.shape[2:])
        others = value.shape[1] - len(before)  # they come first
        filled[:, :others] = value[:, :others]
        for number, label in enumerate(after):
            if label in before:
                filled[:, others + number] = value[:, others + before.index(label)]
        result[name] = filled
        fate = "begin at zero" if more > 0 else "are left out"
        notes = [
            f"encoder.*: {here.frames} adjacent frames are joined here, {there.frames} there;"
            f" weights of the others {fate}"
        ]
    return result, notes
