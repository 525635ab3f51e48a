"""Camera-only bird's-eye-view (BEV) 3D perception: 3D boxes and BEV maps from surround cameras.

From images to boxes::

    from bev import load_detector
    detector = load_detector("synthetic")
    for box in detector(images, cameras):
        print(box.name, box.score, box.center)

The packages are layers: ``bev.geometry``, ``bev.ops``, ``bev.data``, ``bev.models``,
``bev.evaluation``, ``bev.training``, ``bev.inference``, ``bev.visualization``, ``bev.lab`` and
``bev.cli``. Each imports only from those before it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bev.inference import load_detector

__version__ = "0.2.0.dev0"
__all__ = ["__version__", "load_detector"]


def __getattr__(name: str) -> Any:
    """Import what a user of the library needs on first use: torch alone takes a second."""
    if name == "load_detector":
        return importlib.import_module("bev.inference").load_detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
