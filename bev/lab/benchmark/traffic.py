"""Minimum memory traffic and operations of voxel pooling: a lower bound of its time on a GPU."""

from dataclasses import asdict, dataclass

from bev.ops import VoxelPlan


@dataclass(frozen=True)
class Traffic:
    """Bytes and operations of one pooling.

    Attributes:
        inside: number of points inside the grid.
        crowded: maximum number of points in one cell.
        forward_bytes: bytes read from and written to memory in the forward pass, with each element
            of each array counted once.
        backward_bytes: likewise in the backward pass.
        gathered_bytes: bytes of rows gathered in one direction; if the table fits the cache, only
            the first read of each row comes from memory.
        operations: multiplications and additions, forward and backward together.
    """

    inside: int
    crowded: int
    forward_bytes: int
    backward_bytes: int
    gathered_bytes: int
    operations: int

    def microseconds(self, bandwidth: float = 3e12) -> tuple[float, float]:
        """Forward and backward time of the memory traffic alone, microseconds.

        Gathering through the cache, arithmetic and kernel launches add to it unless they overlap.

        Args:
            bandwidth: memory bandwidth, bytes per second.
        """
        return self.forward_bytes / bandwidth * 1e6, self.backward_bytes / bandwidth * 1e6


@dataclass(frozen=True)
class LeastTime(Traffic):
    """Traffic of a shape and batch size, with the time of the memory traffic alone.

    Attributes:
        shape: name of the shape.
        batch: batch size.
        forward_us: time of the forward pass, microseconds.
        backward_us: time of the backward pass, microseconds.
    """

    shape: str
    batch: int
    forward_us: float
    backward_us: float

    @classmethod
    def of(cls, shape: str, batch: int, traffic: Traffic) -> "LeastTime":
        """The least time of a traffic at 3 TB/s."""
        forward, backward = traffic.microseconds()
        return cls(
            **asdict(traffic), shape=shape, batch=batch, forward_us=forward, backward_us=backward
        )


def count(plan: VoxelPlan, channels: int, itemsize: int) -> Traffic:
    """Count the traffic of a plan.

    Args:
        plan: pooling plan.
        channels: number of context channels.
        itemsize: bytes per element of context and result; depth is float32.
    """
    inside, every = int(plan.cell_start[-1]), plan.point_by_cell.numel()
    cells, pixels = len(plan.cell_start) - 1, len(plan.pixel_start) - 1
    used = int((plan.cell_start.diff() > 0).sum())
    index = plan.cell_start.element_size()
    row = channels * itemsize
    context, result, read = pixels * row, cells * row, used * row
    entries = inside * (2 * index + 4)  # two indices and a depth per point
    depth_gradient = 4 * every + 4 * inside  # set to zero, then written
    return Traffic(
        inside=inside,
        crowded=int(plan.cell_start.diff().max()),
        forward_bytes=entries + cells * index + context + result,
        backward_bytes=entries + pixels * index + read + 2 * context + depth_gradient,
        gathered_bytes=inside * row,
        operations=6 * inside * channels,
    )
