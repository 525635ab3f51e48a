"""Settings of a folder of one's own as a data source. No image is read here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bev.bounds import Probability
from bev.calls import FIXED, HIDDEN
from bev.data.frame import Frame
from bev.data.labels import LabelSpace, ObjectClass
from bev.data.source import FrameSource, SourceConfig
from bev.errors import DataError

if TYPE_CHECKING:
    import bev.data.settings

UNREAD = LabelSpace((ObjectClass("object"),))
"""Label space before the folder is known."""


@dataclass(frozen=True)
class FolderSource(SourceConfig):
    """Sequences of images with a rig and files of boxes, see ``docs/folder.md``.

    The classes and the cameras are those of the folder: ``folder.yaml`` and ``rig.yaml`` in
    ``data.root`` are read when the settings of the data are created, wherever they exist.

    Attributes:
        boxes: file of boxes in the folder of each sequence; for pseudo-labels, the output of
            ``bevlab detect`` there.
        min_score: boxes of these files with a lower score are left out.
        classes: label space of ``folder.yaml``; None before the folder is known.
        rig: names of the cameras of ``rig.yaml``.
    """

    boxes: str = "boxes.json"
    min_score: Probability = 0.0
    classes: Annotated[LabelSpace | None, FIXED, HIDDEN] = None
    rig: Annotated[tuple[str, ...], FIXED, HIDDEN] = ()

    @property
    def labels(self) -> LabelSpace:
        return self.classes or UNREAD

    @property
    def cameras(self) -> tuple[str, ...]:
        return self.rig or ("camera",)

    def at(self, root: Path) -> "FolderSource":
        """The settings with the classes and the cameras of a folder, if it exists.

        Raises:
            DataError: if ``folder.yaml`` or ``rig.yaml`` cannot be used.
        """
        from bev.data.folder.description import FOLDER, cameras_of, read_description

        if not (root / FOLDER).is_file():
            return self
        return replace(self, classes=read_description(root).labels, rig=cameras_of(root))

    def frames(self, data: "bev.data.settings.DataConfig", split: str) -> Sequence[Frame]:
        from bev.data.folder.frames import read_split

        found = read_split(self, data.root, split)
        for one in found:
            if isinstance(one, DataError):
                raise one
        return [one for one in found if isinstance(one, Frame)]

    def open(self, data: "bev.data.settings.DataConfig") -> FrameSource:
        from bev.data.folder.frames import Folder

        return Folder(data)
