"""The data of a config, opened."""

from bev.data.settings import DataConfig
from bev.data.source import FrameSource


def opened(data: DataConfig) -> FrameSource:
    return data.source.open(data)
