"""The published networks as plain functions of a published state dict, from papers and configs.

Independent of our models. ``s`` is the state dict, names are the published ones, and everything is
written with ``torch.nn.functional``. Simple code is preferred to fast code.
"""

import torch
from torch.nn import functional as F

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def conv(s, name, x, stride=1, dilation=1):
    weight = s[f"{name}.weight"]
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, s.get(f"{name}.bias"), stride, padding, dilation)


def norm(s, name, x, eps=1e-5):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, var = s[f"{name}.running_mean"].view(shape), s[f"{name}.running_var"].view(shape)
    weight, bias = s[f"{name}.weight"].view(shape), s[f"{name}.bias"].view(shape)
    return (x - mean) / (var + eps).sqrt() * weight + bias


def normalised(images, bgr):
    """Normalise uint8 RGB images like the published loaders: BGR images use the mean of RGB."""
    images = images.flip(-3) if bgr else images
    return (images.float() - MEAN) / STD


def resnet50(s, at, x):
    """Feature maps of all four stages."""
    x = F.relu(norm(s, f"{at}.bn1", conv(s, f"{at}.conv1", x, 2)))
    x = F.max_pool2d(x, 3, 2, 1)
    levels = []
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            name, stride = f"{at}.layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = F.relu(norm(s, f"{name}.bn1", conv(s, f"{name}.conv1", x)))
            y = F.relu(norm(s, f"{name}.bn2", conv(s, f"{name}.conv2", y, stride)))
            y = norm(s, f"{name}.bn3", conv(s, f"{name}.conv3", y))
            if block == 0:
                x = norm(s, f"{name}.downsample.1", conv(s, f"{name}.downsample.0", x, stride))
            x = F.relu(x + y)
        levels.append(x)
    return levels


def fpn(s, at, fine, coarse):
    up = conv(s, f"{at}.lateral_convs.1.conv", coarse).repeat_interleave(2, 2)
    merged = conv(s, f"{at}.lateral_convs.0.conv", fine) + up.repeat_interleave(2, 3)
    return conv(s, f"{at}.fpn_convs.0.conv", merged)


def second_fpn(s, at, levels, factors):
    """Concatenated levels of SECONDFPN; norms have an epsilon of 1e-3."""
    maps = []
    for number, (x, factor) in enumerate(zip(levels, factors, strict=True)):
        weight, name = s[f"{at}.deblocks.{number}.0.weight"], f"{at}.deblocks.{number}.1"
        if factor < 1:
            x = F.conv2d(x, weight, stride=round(1 / factor))
        else:
            x = F.conv_transpose2d(x, weight, stride=factor)
        maps.append(F.relu(norm(s, name, x, 1e-3)))
    return torch.cat(maps, dim=1)


def lift_splat(depth, context, cameras, bev_from_ego, image_size, depths, grid):
    """BEV features (C, Y, X) of one sample, computed point by point.

    depth (N, D, h, w), context (N, C, h, w); cameras of shape (N,). Pixels are spread from corner
    to corner of the image, and points lie at the near ends of the depth bins. Cell indices are cast
    to integers, so that points less than one cell below a range are counted in its first cell.
    """
    count, bins, rows, columns = depth.shape
    _, height, width = grid.shape
    bev = torch.zeros(context.shape[1], height, width)
    low = torch.tensor([grid.x[0], grid.y[0], grid.z[0]], dtype=torch.float64)
    step = torch.tensor([grid.x[2], grid.y[2], grid.z[2]], dtype=torch.float64)
    size = torch.tensor([width, height, 1])
    ys = torch.linspace(0, image_size[0] - 1, rows).double()
    xs = torch.linspace(0, image_size[1] - 1, columns).double()
    for camera in range(count):
        post, lens = (m[camera].double() for m in (cameras.image_from_original, cameras.intrinsics))
        pose = bev_from_ego.double() @ cameras.ego_from_camera[camera].double()
        for row in range(rows):
            for column in range(columns):
                pixel = torch.stack([xs[column], ys[row]]) - post[:2, 2]
                u, v = torch.linalg.solve(post[:2, :2], pixel)
                rays = torch.stack([u * depths, v * depths, depths]).double()
                points = pose[:3, :3] @ torch.linalg.solve(lens, rays) + pose[:3, 3:]
                cells = ((points.T - low) / step).long()
                for number in ((cells >= 0) & (cells < size)).all(dim=1).nonzero().flatten():
                    x, y, _ = cells[number]
                    weight = depth[camera, number, row, column]
                    bev[:, y, x] += weight * context[camera, :, row, column]
    return bev


def basic_block(s, at, x, stride=1):
    """A basic block of mmdet; the state dict decides on the shortcut.

    The shortcut is the identity, a convolution, or a convolution and a norm.
    """
    y = F.relu(norm(s, f"{at}.bn1", conv(s, f"{at}.conv1", x, stride)))
    y = norm(s, f"{at}.bn2", conv(s, f"{at}.conv2", y))
    if f"{at}.downsample.weight" in s:
        x = conv(s, f"{at}.downsample", x, stride)
    elif f"{at}.downsample.0.weight" in s:
        x = norm(s, f"{at}.downsample.1", conv(s, f"{at}.downsample.0", x, stride))
    return F.relu(x + y)


def custom_resnet(s, at, x):
    levels = []
    for stage in range(3):
        x = basic_block(s, f"{at}.layers.{stage}.1", basic_block(s, f"{at}.layers.{stage}.0", x, 2))
        levels.append(x)
    return levels


def fpn_lss(s, at, fine, coarse):
    """Upsample coarse by 4, join with fine, two convolutions, upsample by 2, two convolutions.

    Upsampling is bilinear with aligned corners.
    """
    up = F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=True)
    x = torch.cat([fine, up], dim=1)
    x = F.relu(norm(s, f"{at}.conv.1", conv(s, f"{at}.conv.0", x)))
    x = F.relu(norm(s, f"{at}.conv.4", conv(s, f"{at}.conv.3", x)))
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    return conv(s, f"{at}.up2.4", F.relu(norm(s, f"{at}.up2.2", conv(s, f"{at}.up2.1", x))))


def center_head(s, at, x, tasks):
    """Maps by task and branch, with the published names."""
    shared = F.relu(norm(s, f"{at}.shared_conv.bn", conv(s, f"{at}.shared_conv.conv", x)))
    maps = []
    for task in range(tasks):
        maps.append({})
        for branch in ("reg", "height", "dim", "rot", "vel", "heatmap"):
            name = f"{at}.task_heads.{task}.{branch}"
            y = F.relu(norm(s, f"{name}.0.bn", conv(s, f"{name}.0.conv", shared)))
            maps[-1][branch] = conv(s, f"{name}.1", y)
    return maps


def decode(maps, low, step, most, lidar_boxes=False):
    """Highest-scoring boxes of a task: x, y, z, length, width, height, yaw, vx, vy, score, class.

    maps: maps of one sample. ``lidar_boxes``: dims are width, length, height, and the heading in
    the frame is -(rot) - pi / 2.
    """
    score, index = maps["heatmap"].sigmoid().flatten().topk(most)
    rows, columns = maps["heatmap"].shape[-2:]
    boxes = []
    for value, place in zip(score.tolist(), index.tolist(), strict=True):
        label, (y, x) = place // (rows * columns), divmod(place % (rows * columns), columns)
        at = {name: value[:, y, x] for name, value in maps.items()}
        dims, yaw = at["dim"].exp(), torch.atan2(at["rot"][0], at["rot"][1])
        if lidar_boxes:
            dims, yaw = dims[[1, 0, 2]], -yaw - torch.pi / 2
        center = [(x + at["reg"][0]) * step + low[0], (y + at["reg"][1]) * step + low[1]]
        boxes.append([*center, at["height"][0], *dims, yaw, *at["vel"], value, label])
    return torch.tensor(boxes)


def camera_numbers(cameras, bev):
    """BEVDepth's 27 camera parameters for each of N cameras."""
    rows = []
    for lens, post, pose in zip(
        cameras.intrinsics, cameras.image_from_original, cameras.ego_from_camera, strict=True
    ):
        rows.append(
            [lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2]]
            + [post[0, 0], post[0, 1], post[0, 2], post[1, 0], post[1, 1], post[1, 2]]
            + [bev[0, 0], bev[0, 1], bev[1, 0], bev[1, 1], bev[2, 2]]
            + pose[:3].flatten().tolist()
        )
    return torch.tensor(rows)


def deformable(x, weight, offset, groups):
    """A 3x3 convolution whose taps are shifted by (dy, dx), computed tap by tap; zero padding."""
    _, _, rows, columns = x.shape
    result = 0
    ys, xs = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    for tap in range(9):
        y = ys + tap // 3 - 1 + offset[:, 2 * tap]
        at_x = xs + tap % 3 - 1 + offset[:, 2 * tap + 1]
        place = torch.stack([2 * at_x / (columns - 1) - 1, 2 * y / (rows - 1) - 1], dim=-1)
        sampled = F.grid_sample(x, place, align_corners=True)
        kernel = weight[:, :, tap // 3, tap % 3, None, None]
        result = result + F.conv2d(sampled, kernel, groups=groups)
    return result


def depth_net(s, at, x, numbers):
    """BEVDepth's depth net at inference: logits (M, D, h, w) and context (M, C, h, w)."""
    x = F.relu(norm(s, f"{at}.reduce_conv.1", conv(s, f"{at}.reduce_conv.0", x)))
    numbers = norm(s, f"{at}.bn", numbers)

    def weighed(branch):
        mlp, squeeze = f"{at}.{branch}_mlp", f"{at}.{branch}_se"
        g = F.relu(F.linear(numbers, s[f"{mlp}.fc1.weight"], s[f"{mlp}.fc1.bias"]))
        g = F.linear(g, s[f"{mlp}.fc2.weight"], s[f"{mlp}.fc2.bias"])[..., None, None]
        g = conv(s, f"{squeeze}.conv_expand", F.relu(conv(s, f"{squeeze}.conv_reduce", g)))
        return x * g.sigmoid()

    context = conv(s, f"{at}.context_conv", weighed("context"))
    d = weighed("depth")
    for block in range(3):
        d = basic_block(s, f"{at}.depth_conv.{block}", d)
    aspp = f"{at}.depth_conv.3"
    parts = [
        F.relu(norm(s, f"{aspp}.aspp{n}.bn", conv(s, f"{aspp}.aspp{n}.atrous_conv", d, 1, rate)))
        for n, rate in ((1, 1), (2, 6), (3, 12), (4, 18))
    ]
    pooled = conv(s, f"{aspp}.global_avg_pool.1", d.mean(dim=(2, 3), keepdim=True))
    parts.append(F.relu(norm(s, f"{aspp}.global_avg_pool.2", pooled)).expand_as(parts[0]))
    d = F.relu(norm(s, f"{aspp}.bn1", conv(s, f"{aspp}.conv1", torch.cat(parts, dim=1))))
    offset = conv(s, f"{at}.depth_conv.4.conv_offset", d)
    d = deformable(d, s[f"{at}.depth_conv.4.weight"], offset, 4)
    return conv(s, f"{at}.depth_conv.5", d), context


def trunk(s, at, x):
    """BEVDepth's ResNet-18 on the grid, without max pooling: the grid and three stages."""
    levels = [x]
    x = F.relu(norm(s, f"{at}.bn1", conv(s, f"{at}.conv1", x, 2)))
    for stage in (1, 2, 3):
        x = basic_block(s, f"{at}.layer{stage}.0", x, 1 if stage == 1 else 2)
        x = basic_block(s, f"{at}.layer{stage}.1", x)
        levels.append(x)
    return levels
