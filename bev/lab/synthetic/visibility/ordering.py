"""Paint order of items and solids from separating planes.

Two convex objects that do not overlap are separated by a plane. The object on the camera's side of
the plane cannot be occluded by the other, so it is painted later. With the transitive closure of
this relation (if a before b and b before c, then a before c), the number of objects that must be
painted before each object is a valid order. Depth decides only within cycles, which are rare.
"""

import numpy as np

from bev.lab.synthetic.visibility.items import Items

_SIGNS = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)


def item_planes(items: Items) -> tuple[np.ndarray, np.ndarray]:
    """Best separating face plane of box a for each ordered pair of items (a, b).

    Returns:
        The planes, (N, N, 4) as n . x + d in the global frame, positive on b's side, and the gaps,
        (N, N) least distances of b from the plane in metres; negative if no face of a separates
        the two boxes.
    """
    rotation, half, centre = items.rotation, items.half_size, items.centre
    normal = np.einsum("nij,fj->nfi", rotation, _SIGNS)  # (N, 6, 3)
    reach = np.abs(_SIGNS) @ half.T  # (6, N)
    offset = -np.einsum("nfi,ni->nf", normal, centre) - reach.T
    # Least signed distance of b's box: that of its centre minus its extent along the normal.
    middle = np.einsum("afi,bi->afb", normal, centre) + offset[:, :, None]
    axes = np.swapaxes(rotation, 1, 2)  # rows: b's axes
    extent = (np.abs(np.einsum("afi,bki->afbk", normal, axes)) * half).sum(-1)
    least = middle - extent
    best = least.argmax(1)  # (N, N)
    rows = np.arange(len(half))[:, None]
    planes = np.concatenate([normal[rows, best], offset[rows, best][..., None]], axis=-1)
    return planes, np.take_along_axis(least, best[:, None], 1)[:, 0]


def items_before(planes: np.ndarray, gap: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """(N, N) bool, True if row must be painted before column for a ``camera`` position (3,)."""
    beyond = planes[..., :3] @ camera + planes[..., 3] > 0  # camera on b's side: a before b
    trusted = (gap >= gap.T) & ~np.eye(len(gap), dtype=bool)
    trusted &= (gap > gap.T) | (np.arange(len(gap))[:, None] < np.arange(len(gap)))
    return (trusted & beyond) | (trusted & ~beyond).T


def paint_rank(before: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Paint ranks, far to near.

    Args:
        before: (..., P, P) bool, True if row must be painted before column.
        depth: (..., P) depths, larger is farther; they decide within cycles.

    Returns:
        (..., P) int ranks.
    """
    closed = before.astype(np.float32)
    steps = max(1, int(np.ceil(np.log2(max(2, before.shape[-1])))))
    for _ in range(steps):
        grown = np.minimum(closed + closed @ closed, 1.0)
        if np.array_equal(grown, closed):
            break
        closed = grown
    ahead = closed.sum(-2)
    nearer = 1.0 / (1.0 + np.maximum(depth, 0.0))
    return np.argsort(np.argsort(ahead + 0.5 * nearer, axis=-1), axis=-1)


def solid_ranks(shapes: list, camera: np.ndarray) -> np.ndarray:
    """Paint ranks of the solids within each shape.

    Args:
        shapes: N shapes.
        camera: (N, 3) camera position in each shape's own frame.

    Returns:
        (N, P) int ranks for the largest number of solids P; unused entries are meaningless.
    """
    most = max(len(shape.solid_points) - 1 for shape in shapes)
    before = np.zeros((len(shapes), most, most), bool)
    counts = [len(shape.pairs) for shape in shapes]
    owner = np.repeat(np.arange(len(shapes)), counts)
    pairs = np.concatenate([shape.pairs for shape in shapes])
    planes = np.concatenate([shape.pair_planes for shape in shapes])
    if len(pairs):
        beyond = (planes[:, :3] * camera[owner]).sum(1) + planes[:, 3] > 0
        first = np.where(beyond, pairs[:, 0], pairs[:, 1])
        second = np.where(beyond, pairs[:, 1], pairs[:, 0])
        before[owner, first, second] = True
    return paint_rank(before, np.zeros((len(shapes), most)))
