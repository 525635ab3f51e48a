"""Writing of one scene: its sensor files and map, then its table rows as one JSON shard.

The shard is written last and renamed into place, so an existing shard belongs to a complete scene.
"""

import json
from pathlib import Path

import cv2

from bev.files import replacing
from bev.lab.synthetic.config import SceneKey, WorldConfig
from bev.lab.synthetic.rendering.render import Renderer
from bev.lab.synthetic.rig import LIDAR
from bev.lab.synthetic.scene.scene import make_scene
from bev.lab.synthetic.visibility.ground_truth import frame_ground_truth
from bev.lab.synthetic.writing.map_expansion import street_tables
from bev.lab.synthetic.writing.tables import EXPANSIONS, sample_file, scene_rows

SHARDS = "shards"


def prepare_process() -> None:
    """Restrict OpenCV to one thread; the scenes run in parallel instead."""
    cv2.setNumThreads(1)


def shard_file(folder: Path, key: SceneKey) -> Path:
    """File of a scene's table rows while the world is being generated."""
    return folder / SHARDS / f"{key.name}.json"


def write_scene(job: tuple[Path, WorldConfig, SceneKey]) -> int:
    """Write a scene into a folder whose subfolders for sensors, maps and shards exist.

    Args:
        job: folder, settings of the world and key of the scene.

    Returns:
        The number of key frames.

    Raises:
        OSError: if a file cannot be written.
    """
    folder, config, key = job
    scene = make_scene(key, config)
    renderer = Renderer(scene, config.image_size)
    ground_truths = []
    for frame in range(config.frames_per_scene):
        ground_truth = frame_ground_truth(scene, frame, config.image_size)
        images = renderer.images(ground_truth, frame)
        for channel in config.cameras:
            path = folder / sample_file(key.name, channel, scene.firings[frame][channel])
            done, data = cv2.imencode(
                ".jpg", images[channel], [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality]
            )
            if not done:
                raise OSError(f"OpenCV could not encode {path}; check that it was built with JPEG.")
            path.write_bytes(data.tobytes())
        path = folder / sample_file(key.name, LIDAR, scene.firings[frame][LIDAR])
        path.write_bytes(ground_truth.sweep.points.tobytes())
        ground_truths.append(ground_truth)
    tables = street_tables(scene.road, scene.lots, scene.travel)
    (folder / EXPANSIONS / f"{key.name}.json").write_text(json.dumps(tables))
    shard = shard_file(folder, key)
    with replacing(shard) as partial:
        partial.write_text(json.dumps(scene_rows(scene, ground_truths, config.image_size)))
    return len(ground_truths)
