"""Camera-only bird's-eye-view (BEV) 3D perception: 3D boxes and BEV maps from surround cameras.

    from bev.config import load_config
    config = load_config("lss_r50", ["--model.backbone.no-pretrained"])
    model = config.model.build()

The packages are layers: ``bev.geometry``, ``bev.ops``, ``bev.data``, ``bev.models``,
``bev.evaluation``, ``bev.training``, ``bev.visualization``, ``bev.lab`` and ``bev.cli``. Each
imports only from those before it.
"""

__version__ = "0.2.0.dev0"
