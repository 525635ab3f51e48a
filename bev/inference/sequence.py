"""Detection in the frames of a folder: in batches, or as streams of a temporal model."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from bev.data.batch import collate
from bev.data.frame import Frame
from bev.inference.detections import Detections
from bev.inference.detector import BoxDetector

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def detect_frames(
    detector: BoxDetector,
    frames: Sequence[Frame],
    score: float = 0.3,
    batch_size: int = 4,
    threads: int = 2,
) -> Iterator[Detections]:
    """Detect the boxes of frames, in their order; images are loaded ahead.

    A temporal model computes each scene as a stream, one frame at a time.

    Args:
        detector: trained model.
        frames: frames; those of a scene in order of time, and for a temporal model with times and
            poses.
        score: boxes with a lower score are left out.
        batch_size: frames of a batch of a single-frame model.
        threads: threads that load images.
    """
    temporal = detector.num_adjacent > 0
    ahead = 2 * threads if temporal else 2 * max(batch_size, threads)
    batches = loaded_ahead(detector.batch_of, frames, threads, ahead)
    stream, scene = detector.stream(gap=float("inf")), None
    if temporal:
        for frame, batch in zip(frames, batches, strict=True):
            if frame.scene != scene or not frame.scene:
                stream.reset()
            scene = frame.scene
            yield stream.boxes_of(batch, frame, score)
        return
    remaining = iter(frames)
    while several := list(islice(batches, batch_size)):
        own = list(islice(remaining, len(several)))
        yield from detector.boxes_of(collate(several), own, score)


def loaded_ahead(
    load: Callable[[_In], _Out], items: Iterable[_In], threads: int, ahead: int
) -> Iterator[_Out]:
    """Map a function over items in threads, at most ``ahead`` items before they are used."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[_Out]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(load, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
