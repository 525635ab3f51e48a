"""The one interface of all data sources: a label space, cameras, and the key frames of splits."""

from dataclasses import dataclass

from bev.data.labels import LabelSpace


@dataclass(frozen=True)
class SourceConfig:
    """Common base of the sources' settings, ``data.source``.

    Nothing is read before :meth:`open`.
    """

    @property
    def labels(self) -> LabelSpace:
        """Classes, attributes and layers of its ground truth."""
        raise TypeError(f"{type(self).__name__} does not give its label space (labels).")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of its cameras, in the order that they are served in."""
        raise TypeError(f"{type(self).__name__} does not name its cameras.")
