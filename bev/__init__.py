"""Camera-only bird's-eye-view (BEV) 3D perception: from images of a camera ring to 3D boxes.

    from bev.config import load_config
    config = load_config("lss_r50", ["--model.backbone.no-pretrained"])
    model = config.model.build()

``bev.geometry``, ``bev.ops``, ``bev.data``, ``bev.models``, ``bev.evaluation``, ``bev.training``,
``bev.visualization``, ``bev.lab`` and ``bev.cli`` import one another in this order, upwards never.
"""

__version__ = "0.1.0"
