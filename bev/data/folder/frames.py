"""Splits of a folder of one's own."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bev.data.checks.findings import Findings, Kind
from bev.data.folder.description import FOLDER, read_description, read_rig
from bev.data.folder.sequence import SequenceFiles, names_of, read_sequence
from bev.data.folder.source import FolderSource
from bev.data.folds import is_fold
from bev.data.frame import Frame
from bev.data.listed import ListedSource
from bev.data.rig.doubled import check_moments
from bev.errors import DataError, shown

UNLISTED = Kind(
    "sequence with boxes that is in no split",
    "Add it to a split of folder.yaml; no run uses it.",
    is_error=False,
)


class Folder(ListedSource):
    """An opened folder of one's own."""

    def unknown_scenes(self, split: str) -> list[str]:
        root = self.data.root
        try:
            names = sequences_of(root, split)
        except DataError:  # which the split itself ends with
            return []
        return [name for name in names if not (root / name).is_dir()]

    def doubts(self, splits: Sequence[str]) -> Findings:
        root, source, findings = self.data.root, self.data.source, Findings()
        usual = source.splits(self.data)
        used: dict[str, None] = {}
        for split in splits:
            for name in usual if is_fold(split) else (split,):
                with suppress(DataError):  # which the split itself ends with
                    used |= dict.fromkeys(sequences_of(root, name))
        for name in used:
            with suppress(DataError):
                findings.extend(check_moments(read_rig(root, root / name), root / name, root))
        if isinstance(source, FolderSource):
            with suppress(DataError):
                findings.add(UNLISTED, unlisted_sequences(root, source.boxes, list(used)))
        return findings

    def _read(self, split: str) -> Sequence[Frame]:
        source = self.data.source
        if self.faults is None or not isinstance(source, FolderSource):
            return super()._read(split)
        found = read_split(source, self.data.root, split)
        frames = [one for one in found if isinstance(one, Frame)]
        self.faults.extend(str(one) for one in found if isinstance(one, DataError))
        if found and not frames:
            raise DataError(f"None of the {len(found)} frames can be used.")
        return frames or super()._read(split)


def sequences_of(root: Path, split: str) -> tuple[str, ...]:
    """Sequences of a split of ``folder.yaml``; or of their own names, separated by commas.

    Raises:
        DataError: if the split is unknown, or ``folder.yaml`` cannot be used.
    """
    splits = dict(read_description(root).splits)
    if split in splits:
        return splits[split]
    names, known = tuple(split.split(",")), names_of(root)
    if not all(name in known for name in names):
        own = f"its splits are {', '.join(splits)}" if splits else "it has no splits"
        raise DataError(
            f"{root / FOLDER} has no split {shown(split)}; {own}, and the sequences are"
            f" {', '.join(known[:20]) or 'none'} (name them as --data.train-split a,b)."
        )
    return names


def unlisted_sequences(root: Path, boxes: str, used: Sequence[str] = ()) -> list[str]:
    """Names of sequences with a file of boxes that are in no split of ``folder.yaml``.

    Args:
        root: folder of all sequences.
        boxes: name of the file of boxes in the folder of a sequence.
        used: further sequences that are in use.

    Raises:
        DataError: if ``folder.yaml`` cannot be used.
    """
    splits = read_description(root).splits
    listed = {Path(name) for names in (used, *(some for _, some in splits)) for name in names}
    depths = sorted({1, *(len(name.parts) for name in listed)} - {0})
    return [
        name
        for depth in depths
        for name in names_of(root, depth)
        if SequenceFiles(root, name, boxes).is_annotated
        and listed.isdisjoint((Path(name), *Path(name).parents))
    ]


def read_split(source: FolderSource, root: Path, split: str) -> list[Frame | DataError]:
    """Frames of a split, those of each sequence in order of time; a faulty one is its error.

    Raises:
        DataError: if the split is unknown, or ``folder.yaml`` cannot be used.
    """
    description = read_description(root)
    files = [
        SequenceFiles(root, name, source.boxes)
        for name in sequences_of(root, split)
        if (root / name).is_dir()
    ]
    annotated = any(one.is_annotated for one in files)
    found: list[Frame | DataError] = []
    for one in files:
        if annotated and not one.is_annotated:
            found.append(
                DataError(
                    f"Sequence {one.name} of split {split!r} has no {one.boxes}, but others have;"
                    " add one (frames without objects have 'boxes': []), or remove it from the"
                    " split."
                )
            )
        else:
            found += read_sequence(one, description, source.min_score)
    return found
