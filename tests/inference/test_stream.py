"""Streams: the boxes are those of the data set's path, and every image is computed once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from bev import load_detector
from bev.data import dataset
from bev.data.adjacent import AdjacentConfig
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.images.loading import load_image
from bev.errors import ConfigError, DataError
from bev.inference.sequence import detect_frames, loaded_ahead


@pytest.fixture(scope="module")
def detector(temporal):
    return load_detector(temporal, "cpu")


@pytest.fixture(scope="module")
def frames(detector):
    """The four key frames of one scene."""
    data = detector.config.data
    return data.source.open(data).frames("synthetic_val")


@pytest.fixture(scope="module")
def by_tables(detector, frames):
    samples = KeyFrames(frames, detector.config.data, training=False)
    return [detector.model.detect(collate([samples[i]]))[0] for i in range(len(frames))]


def feed(stream, frame, **changed):
    """Detect in a frame as a user of the stream does."""
    moment = {"time": frame.timestamp * 1e-6, "pose": frame.global_from_ego.numpy(), "score": 0}
    images = [camera.path for camera in frame.cameras]
    return stream(images, frame.cameras, **(moment | changed))


def near(found, boxes):
    """Whether detections are these boxes, to rounding."""
    return len(found) == len(boxes) and all(
        torch.allclose(getattr(found.boxes, name), getattr(boxes, name), atol=1e-4, rtol=1e-4)
        for name in ("center", "size", "score", "velocity")
    )


def test_a_stream_is_the_batch_path(detector, frames, by_tables, monkeypatch):
    computed = []
    forward = detector.model.backbone.forward
    monkeypatch.setattr(
        detector.model.backbone, "forward", lambda x: computed.append(len(x)) or forward(x)
    )
    stream = detector.stream()
    for frame, boxes in zip(frames, by_tables, strict=True):
        assert near(feed(stream, frame), boxes)
    flips = 1 + detector.config.model.flip_tta
    assert computed == [len(frames[0].cameras)] * len(frames) * flips
    assert len(stream) == 3  # those of the last second
    assert not near(detector.detect([frames[3]], 0)[0], by_tables[3])  # alone, without the past


def test_an_image_is_read_once(detector, frames, monkeypatch):
    read = []

    def load(camera, *rest):
        read.append(camera.path)
        return load_image(camera, *rest)

    monkeypatch.setattr(dataset, "load_image", load)
    detector.detect([frames[0]])
    assert read == [camera.path for camera in frames[0].cameras]


def test_a_caller_may_change_the_array_of_a_pose(detector, frames, by_tables):
    stream, pose = detector.stream(), np.eye(4)
    for frame, boxes in zip(frames, by_tables, strict=True):
        pose[:] = frame.global_from_ego.numpy()
        assert near(feed(stream, frame, pose=pose), boxes)


def test_a_frame_that_fails_is_forgotten(detector, frames, by_tables, monkeypatch):
    stream = detector.stream()
    feed(stream, frames[0])
    with monkeypatch.context() as failing:
        failing.setattr(detector.model, "detect", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            feed(stream, frames[1])
    assert len(stream) == 1
    for frame, boxes in zip(frames[1:], by_tables[1:], strict=True):
        assert near(feed(stream, frame), boxes)


def test_frames_of_a_folder_are_streams_by_scene(detector, frames, by_tables):
    found = list(detect_frames(detector, frames, 0.0))
    assert all(map(near, found, by_tables))
    again = [replace(frame, scene="other") for frame in frames]
    found = list(detect_frames(detector, [*frames, *again], 0.0))
    assert all(map(near, found, by_tables * 2))


def seconds_of(detector, frames, monkeypatch, every):
    """Times of the adjacent frames of each frame, fed ``every`` seconds."""
    seen = []
    detect = detector.model.detect
    monkeypatch.setattr(
        detector.model,
        "detect",
        lambda batch, cache: (
            seen.append(round(float(batch.adjacent[0].seconds), 3)) or detect(batch, cache)
        ),
    )
    stream = detector.stream()
    for number in range(8):
        feed(stream, frames[number % 4], time=100 + number * every)
    return seen, len(stream)


def test_the_earlier_frame_is_that_of_the_training_at_any_rate(detector, frames, monkeypatch):
    seen, kept = seconds_of(detector, frames, monkeypatch, 0.25)
    assert seen == [0, -0.25, -0.5, -0.75, -1, -1, -1, -1] and kept == 5
    seen, kept = seconds_of(detector, frames, monkeypatch, 0.8)
    assert seen == [0, *[-0.8] * 7]


@pytest.mark.parametrize("cut", ["pause", "back in time", "reset"])
def test_a_cut_forgets(detector, frames, by_tables, cut):
    stream = detector.stream(gap=1.5)
    for frame in frames:
        feed(stream, frame)
    last = frames[3].timestamp * 1e-6
    if cut == "reset":
        stream.reset()
    later = {"pause": last + 1.6, "back in time": last - 30, "reset": last + 0.5}[cut]
    assert near(feed(stream, frames[0], time=later), by_tables[0])


def test_a_repeated_time_replaces_the_frame(detector, frames, by_tables):
    stream = detector.stream()
    feed(stream, frames[0])
    feed(stream, frames[3], time=frames[1].timestamp * 1e-6)
    for frame, boxes in zip(frames[1:], by_tables[1:], strict=False):
        assert near(feed(stream, frame), boxes)


def test_standing_still_needs_no_poses(detector, frames):
    stream, other = detector.stream(standing=True), detector.stream()
    for frame in frames:
        still = feed(stream, frame, pose=None)
        assert near(still, feed(other, frame, pose=np.eye(4)).boxes)
    with pytest.raises(DataError, match="Frame 4 has a pose, and .*standing=True; leave out one"):
        feed(stream, frames[0])


def test_streams_of_one_detector_run_in_threads(detector, frames, by_tables):
    def run(_):
        stream = detector.stream()
        return [feed(stream, frame) for frame in frames]

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(run, range(2)):
            assert all(map(near, found, by_tables))


def test_what_a_temporal_model_needs_is_named(detector, frames):
    stream = detector.stream()
    with pytest.raises(DataError, match="pass time=… in seconds"):
        feed(stream, frames[0], time=None)
    for none in (float("nan"), 1e13):
        with pytest.raises(DataError, match="The time of frame 0, in seconds, is .*pass a number"):
            feed(stream, frames[0], time=none)
    with pytest.raises(DataError, match="global_from_ego.*standing=True"):
        feed(stream, frames[0], pose=None)
    for none in (np.ones((4, 4)), np.diag([1, 1, -1, 1]), "pose"):
        with pytest.raises(DataError, match="4x4 matrix"):
            feed(stream, frames[0], pose=none)
    for gap in (-1, 0, float("nan")):
        with pytest.raises(ConfigError, match=r"gap is .*; pass the longest pause in seconds"):
            detector.stream(gap=gap)
    with pytest.raises(DataError, match="time of frame 0, in seconds, is nan"):
        feed(stream, frames[0], time=float("nan"))
    feed(stream, frames[0])
    fewer = replace(frames[1], cameras=frames[1].cameras[:2])
    with pytest.raises(DataError, match="call reset"):
        feed(stream, fewer)


def test_a_model_of_later_frames_is_refused(detector):
    later = replace(detector.config.data, adjacent=AdjacentConfig(following=1))
    config = replace(detector.config, data=later)
    with pytest.raises(ConfigError, match="joins later frames"):
        type(detector)(config, detector.model, "it").stream()


def test_a_single_frame_model_needs_neither_times_nor_poses(single, frames):
    detector = load_detector(single, "cpu")
    stream = detector.stream()
    for frame in frames:
        images = [camera.path for camera in frame.cameras]
        found = stream(images, frame.cameras, score=0)
        assert near(found, detector(images, frame.cameras, score=0).boxes)
    assert len(stream) == 0


def test_a_few_items_are_loaded_ahead_in_order():
    loaded = []
    items = loaded_ahead(lambda item: loaded.append(item) or -item, range(20), 2, 4)
    assert next(items) == 0 and set(loaded) <= set(range(5))
    assert list(items) == [-item for item in range(1, 20)]
