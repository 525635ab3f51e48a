"""Names and shapes of published checkpoints, written down block by block from the authors' code.

Independent of our models and conversion rules. Sizes are those of the published configurations.
"""

import torch

NORM = ("weight", "bias", "running_mean", "running_var")
SIX_TASKS = (1, 2, 2, 1, 2, 2)
BRANCHES = {"reg": 2, "height": 1, "dim": 3, "rot": 2, "vel": 2}


def norm(name, width):
    return {f"{name}.{leaf}": (width,) for leaf in NORM} | {f"{name}.num_batches_tracked": ()}


def conv(name, outputs, inputs, kernel=1, bias=False):
    table = {f"{name}.weight": (outputs, inputs, kernel, kernel)}
    return table | ({f"{name}.bias": (outputs,)} if bias else {})


def resnet50(name):
    table = conv(f"{name}.conv1", 64, 3, 7) | norm(f"{name}.bn1", 64)
    inputs = 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 1):
        for block in range(blocks):
            at = f"{name}.layer{stage}.{block}"
            table |= conv(f"{at}.conv1", width, inputs) | norm(f"{at}.bn1", width)
            table |= conv(f"{at}.conv2", width, width, 3) | norm(f"{at}.bn2", width)
            table |= conv(f"{at}.conv3", 4 * width, width) | norm(f"{at}.bn3", 4 * width)
            if block == 0:
                table |= conv(f"{at}.downsample.0", 4 * width, inputs)
                table |= norm(f"{at}.downsample.1", 4 * width)
            inputs = 4 * width
    return table


def basic_block(name, inputs, width):
    table = conv(f"{name}.conv1", width, inputs, 3) | norm(f"{name}.bn1", width)
    return table | conv(f"{name}.conv2", width, width, 3) | norm(f"{name}.bn2", width)


def head(name, tasks):
    table = conv(f"{name}.shared_conv.conv", 64, 256, 3) | norm(f"{name}.shared_conv.bn", 64)
    for number, classes in enumerate(tasks):
        for branch, width in (BRANCHES | {"heatmap": classes}).items():
            at = f"{name}.task_heads.{number}.{branch}"
            table |= conv(f"{at}.0.conv", 64, 64, 3) | norm(f"{at}.0.bn", 64)
            table |= conv(f"{at}.1", width, 64, 3, bias=True)
    return table


def bevdet(depth_net="depth_net", fpn=512, context=80, bins=59, tasks=SIX_TASKS):
    """BEVDet's ResNet-50 of dev2.x; the first release also has :func:`first_release_grid`."""
    table = resnet50("img_backbone")
    for level, width in enumerate((1024, 2048)):
        table |= conv(f"img_neck.lateral_convs.{level}.conv", fpn, width, bias=True)
    table |= conv("img_neck.fpn_convs.0.conv", fpn, fpn, 3, bias=True)
    table |= conv(f"img_view_transformer.{depth_net}", bins + context, fpn, bias=True)
    inputs = context
    for stage in range(3):
        at, width = f"img_bev_encoder_backbone.layers.{stage}", context * 2 ** (stage + 1)
        table |= basic_block(f"{at}.0", inputs, width)
        table |= conv(f"{at}.0.downsample", width, inputs, 3, bias=True)
        table |= basic_block(f"{at}.1", width, width)
        inputs = width
    at = "img_bev_encoder_neck"
    table |= conv(f"{at}.conv.0", 512, 10 * context, 3) | norm(f"{at}.conv.1", 512)
    table |= conv(f"{at}.conv.3", 512, 512, 3) | norm(f"{at}.conv.4", 512)
    table |= conv(f"{at}.up2.1", 256, 512, 3) | norm(f"{at}.up2.2", 256)
    table |= conv(f"{at}.up2.4", 256, 256, bias=True)
    return table | head("pts_bbox_head", tasks)


def first_release_grid():
    """Parameters beside the weights in the first release, with their values."""
    x = torch.linspace(0, 703, 44).view(1, 1, 44).expand(59, 16, 44)
    y = torch.linspace(0, 255, 16).view(1, 16, 1).expand(59, 16, 44)
    d = torch.arange(1.0, 60.0, 1.0).view(59, 1, 1).expand(59, 16, 44)
    return {
        "img_view_transformer.dx": torch.tensor([0.8, 0.8, 20.0]),
        "img_view_transformer.bx": torch.tensor([-50.8, -50.8, 0.0]),
        "img_view_transformer.nx": torch.tensor([128.0, 128.0, 1.0]),
        "img_view_transformer.frustum": torch.stack([x, y, d], dim=-1),
    }


def deblock(name, inputs, outputs, factor):
    """A block of SECONDFPN: transposed convolution by ``factor``, or a convolution below 1."""
    shape = (inputs, outputs, factor, factor)
    if factor < 1:
        shape = (outputs, inputs, round(1 / factor), round(1 / factor))
    return {f"{name}.0.weight": shape} | norm(f"{name}.1", outputs)


def depth_net(name, width=512, bins=112, context=80):
    table = conv(f"{name}.reduce_conv.0", width, 512, 3, bias=True)
    table |= norm(f"{name}.reduce_conv.1", width) | norm(f"{name}.bn", 27)
    table |= conv(f"{name}.context_conv", context, width, bias=True)
    for branch in ("depth", "context"):
        table |= {f"{name}.{branch}_mlp.fc1.weight": (width, 27)}
        table |= {f"{name}.{branch}_mlp.fc2.weight": (width, width)}
        table |= {f"{name}.{branch}_mlp.fc{number}.bias": (width,) for number in (1, 2)}
        for layer in ("conv_reduce", "conv_expand"):
            table |= conv(f"{name}.{branch}_se.{layer}", width, width, bias=True)
    at = f"{name}.depth_conv"
    for block in range(3):
        table |= basic_block(f"{at}.{block}", width, width)
    for number in range(1, 5):
        table |= conv(f"{at}.3.aspp{number}.atrous_conv", width, width, 1 if number == 1 else 3)
        table |= norm(f"{at}.3.aspp{number}.bn", width)
    table |= conv(f"{at}.3.global_avg_pool.1", width, width)
    table |= norm(f"{at}.3.global_avg_pool.2", width)
    table |= conv(f"{at}.3.conv1", width, 5 * width) | norm(f"{at}.3.bn1", width)
    table |= {f"{at}.4.weight": (width, width // 4, 3, 3)}
    table |= conv(f"{at}.4.conv_offset", 18, width, 3, bias=True)
    return table | conv(f"{at}.5", bins, width, bias=True)


def bevdepth(keys=1):
    """BEVDepth's ResNet-50, without the prefix ``model.`` of its Lightning module."""
    table = resnet50("backbone.img_backbone")
    for level, (width, factor) in enumerate([(256, 0.25), (512, 0.5), (1024, 1), (2048, 2)]):
        table |= deblock(f"backbone.img_neck.deblocks.{level}", width, 128, factor)
    table |= depth_net("backbone.depth_net")
    at, grid = "head.trunk", 80 * keys
    table |= conv(f"{at}.conv1", 160, grid, 7) | norm(f"{at}.bn1", 160)
    inputs = 160
    for stage, width in enumerate((160, 320, 640), 1):
        table |= basic_block(f"{at}.layer{stage}.0", inputs, width)
        if stage > 1:
            table |= conv(f"{at}.layer{stage}.0.downsample.0", width, inputs)
            table |= norm(f"{at}.layer{stage}.0.downsample.1", width)
        table |= basic_block(f"{at}.layer{stage}.1", width, width)
        inputs = width
    for level, width in enumerate((grid, 160, 320, 640)):
        table |= deblock(f"head.neck.deblocks.{level}", width, 64, 2**level)
    return table | head("head", SIX_TASKS)


def bevdepth_grid():
    """BEVDepth's buffers beside the weights, with their values."""
    x = torch.linspace(0, 703, 44).view(1, 1, 44).expand(112, 16, 44)
    y = torch.linspace(0, 255, 16).view(1, 16, 1).expand(112, 16, 44)
    d = torch.arange(2.0, 58.0, 0.5).view(112, 1, 1).expand(112, 16, 44)
    return {
        "backbone.voxel_size": torch.tensor([0.8, 0.8, 8.0]),
        "backbone.voxel_coord": torch.tensor([-50.8, -50.8, -1.0]),
        "backbone.voxel_num": torch.tensor([128, 128, 1]),
        "backbone.frustum": torch.stack([x, y, d, torch.ones_like(x)], dim=-1),
    }


TABLES = {
    "bevdet-first": bevdet("depthnet", context=64),
    "bevdet-dev2.0": bevdet(),
    "bevdet-dev2.1": bevdet(fpn=256, context=64, tasks=(10,)),
    "bevdepth-1key": bevdepth(1),
    "bevdepth-2key": bevdepth(2),
}
EXTRA = {
    "bevdet-first": first_release_grid,
    "bevdepth-1key": bevdepth_grid,
    "bevdepth-2key": bevdepth_grid,
}


def random_weights(family, seed=0):
    """A random state dict with the family's names and shapes; activations are of order 1."""
    generator = torch.Generator().manual_seed(seed)

    def draw(name, shape):
        if name.endswith("num_batches_tracked"):
            return torch.tensor(1000)
        if name.endswith("running_var"):
            return 0.5 + torch.rand(shape, generator=generator)
        value = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            return value * (1.5 / torch.tensor(shape[1:]).prod()) ** 0.5
        return 0.1 * value + (0.6 if name.endswith("weight") else 0.0)

    state = {name: draw(name, shape) for name, shape in TABLES[family].items()}
    return state | EXTRA.get(family, dict)()
