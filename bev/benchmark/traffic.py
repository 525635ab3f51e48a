"""What voxel pooling must move and compute, counted by hand: the time that a GPU could reach."""

from dataclasses import dataclass

from bev.ops import VoxelPlan


@dataclass(frozen=True)
class Traffic:
    """Bytes and operations of one pooling.

    Attributes:
        inside: points that lie in the grid.
        crowded: most points in one cell.
        forward_bytes, backward_bytes: to and from memory, each array once.
        gathered_bytes: rows gathered in one direction; all but the first reading of each come from
            the cache.
        operations: multiplications and additions, forward and backward together.
    """

    inside: int
    crowded: int
    forward_bytes: int
    backward_bytes: int
    gathered_bytes: int
    operations: int

    def microseconds(self, bandwidth: float = 3e12) -> tuple[float, float]:
        """Forward and backward time at a memory bandwidth, bytes a second."""
        return self.forward_bytes / bandwidth * 1e6, self.backward_bytes / bandwidth * 1e6


def count(plan: VoxelPlan, channels: int, itemsize: int) -> Traffic:
    """The traffic of a plan; ``itemsize`` of context and result, depth is float32."""
    inside, every = int(plan.cell_start[-1]), plan.point_by_cell.numel()
    cells, pixels = len(plan.cell_start) - 1, len(plan.pixel_start) - 1
    index = plan.cell_start.element_size()
    context, result = pixels * channels * itemsize, cells * channels * itemsize
    entries = inside * (2 * index + 4)  # two indices and a depth a point
    depth_gradient = 4 * every + 4 * inside  # set to zero, then written
    return Traffic(
        inside=inside,
        crowded=int(plan.cell_start.diff().max()),
        forward_bytes=entries + cells * index + context + result,
        backward_bytes=entries + pixels * index + result + 2 * context + depth_gradient,
        gathered_bytes=inside * channels * itemsize,
        operations=6 * inside * channels,
    )
