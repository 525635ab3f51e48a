"""What voxel pooling must move and compute, counted by hand: the least time that a GPU takes."""

from dataclasses import asdict, dataclass

from bev.ops import VoxelPlan


@dataclass(frozen=True)
class Traffic:
    """Bytes and operations of one pooling.

    Attributes:
        inside: points that lie in the grid.
        crowded: most points in one cell.
        forward_bytes, backward_bytes: to and from memory, what is read and written of each array
            once.
        gathered_bytes: rows gathered in one direction; where the cache holds the table, all but
            the first reading of each come from there.
        operations: multiplications and additions, forward and backward together.
    """

    inside: int
    crowded: int
    forward_bytes: int
    backward_bytes: int
    gathered_bytes: int
    operations: int

    def microseconds(self, bandwidth: float = 3e12) -> tuple[float, float]:
        """Forward and backward time that memory alone takes, at so many bytes a second.

        The gathering through the cache, the arithmetic and the launches come on top as far as they
        do not hide behind it.
        """
        return self.forward_bytes / bandwidth * 1e6, self.backward_bytes / bandwidth * 1e6


@dataclass(frozen=True)
class LeastTime(Traffic):
    """The traffic of a shape and batch size, and the microseconds that memory alone takes."""

    shape: str
    batch: int
    forward_us: float
    backward_us: float

    @classmethod
    def of(cls, shape: str, batch: int, traffic: Traffic) -> "LeastTime":
        """At 3 TB/s."""
        forward, backward = traffic.microseconds()
        return cls(
            **asdict(traffic), shape=shape, batch=batch, forward_us=forward, backward_us=backward
        )


def count(plan: VoxelPlan, channels: int, itemsize: int) -> Traffic:
    """The traffic of a plan; ``itemsize`` of context and result, depth is float32."""
    inside, every = int(plan.cell_start[-1]), plan.point_by_cell.numel()
    cells, pixels = len(plan.cell_start) - 1, len(plan.pixel_start) - 1
    used = int((plan.cell_start.diff() > 0).sum())
    index = plan.cell_start.element_size()
    row = channels * itemsize
    context, result, read = pixels * row, cells * row, used * row
    entries = inside * (2 * index + 4)  # two indices and a depth a point
    depth_gradient = 4 * every + 4 * inside  # set to zero, then written
    return Traffic(
        inside=inside,
        crowded=int(plan.cell_start.diff().max()),
        forward_bytes=entries + cells * index + context + result,
        backward_bytes=entries + pixels * index + read + 2 * context + depth_gradient,
        gathered_bytes=inside * row,
        operations=6 * inside * channels,
    )
