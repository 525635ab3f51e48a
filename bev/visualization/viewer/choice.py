"""What of a recording is shown, and how: the panel replaces it, and the drawing reads it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from bev.visualization.viewer.contents import BoxTable, Recording

ColorBy = Literal["class", "set"]


class Selected(NamedTuple):
    """A box: index of its set, and its index in the set at the moment that is shown."""

    layer: int
    row: int


@dataclass(frozen=True)
class Choice:
    """What is shown. Threads of the server propose changes; one thread applies and draws them.

    Attributes:
        moment: index of the moment.
        score: predictions with a lower score are not shown.
        color_by: whether the colour of a box is that of its class or of its set.
        image_distance: distance of the images from their cameras, metres.
        follows: whether the vehicle stays in its place while the scene moves, or the other way.
        hidden: names of the layers that are off.
        selected: box whose numbers are shown; None for none.
        playing: whether the moments follow one another by themselves.
    """

    moment: int = 0
    score: float = 0.3
    color_by: ColorBy = "class"
    image_distance: float = 5.0
    follows: bool = True
    hidden: frozenset[str] = frozenset()
    selected: Selected | None = None
    playing: bool = False

    def at(self, recording: Recording, moment: int) -> "Choice":
        """Another moment; a selected box stays selected where its track goes on.

        A moment that the recording does not have, which a browser may ask for, is the nearest one.
        """
        moment = min(max(moment, 0), len(recording.moments) - 1)
        if moment == self.moment:
            return self
        moved, chosen = replace(self, moment=moment, selected=None), self.selected
        if chosen is None:
            return moved
        track = recording.moments[self.moment].boxes[chosen.layer].track[chosen.row]
        rows = np.flatnonzero(recording.moments[moment].boxes[chosen.layer].track == track)
        if track < 0 or not len(rows):
            return moved
        return replace(moved, selected=Selected(chosen.layer, int(rows[0])))

    def next(self, recording: Recording, step: int = 1) -> "Choice":
        """The next moment, or the one ``step`` after this one; the first one follows the last."""
        return self.at(recording, (self.moment + step) % len(recording.moments))

    def clicked(self, moment: int, box: Selected) -> "Choice":
        """A box that was clicked; none if another moment has been drawn since."""
        return replace(self, selected=box) if moment == self.moment else self

    def switched(self, layer: str, on: bool) -> "Choice":
        """A layer on or off."""
        return replace(self, hidden=self.hidden - {layer} if on else self.hidden | {layer})

    def shown(self, layer: int, boxes: BoxTable) -> Bool[np.ndarray, " M"]:
        """Mask of the boxes of a set that the score leaves; all of the ground truth."""
        return boxes.score >= self.score if layer else np.ones(len(boxes), bool)


Change = Callable[[Choice], Choice]
