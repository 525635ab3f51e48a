"""Data source for a folder of one's own: a rig, images, and a file of boxes for each sequence.

``docs/folder.md`` describes the files.
"""

from bev.data.folder.source import FolderSource

__all__ = ["FolderSource"]
