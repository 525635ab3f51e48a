"""The data of a config, opened."""

from pathlib import Path

from bev.data.nuscenes.index import Index
from bev.data.nuscenes.index_build import join
from bev.data.nuscenes.tables import TABLES, read_table
from bev.data.settings import DataConfig
from bev.data.source import FrameSource


def opened(data: DataConfig) -> FrameSource:
    return data.source.open(data)


def index_in_memory(root: Path, version: str) -> Index:
    """Tables joined in this process: an index on disk takes most of a small test's time."""
    tables = {table: read_table(root / version, table)[0] for table in TABLES}
    join(root / version, tables)
    return Index.in_memory(tables, root / version)
