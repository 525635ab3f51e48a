"""File names in a folder, and the content of an index."""

from pathlib import Path

from bev.data.nuscenes.index import PARTS


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def content(index) -> dict[str, bytes]:
    return {
        f"{part}.{name}": column.tobytes()
        for part in PARTS
        for name, column in vars(getattr(index, part)).items()
    }
