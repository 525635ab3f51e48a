"""The rig of a nuScenes sample: its calibrations as a rig of one's own."""

import re
from pathlib import PurePosixPath

import numpy as np

from bev.data.nuscenes.frame import read_frame
from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.nuscenes.sensor_data import CAMERAS, ego_from_sensor, global_from_ego_at
from bev.data.rig import Distortion, Rig, RigCamera
from bev.errors import DataError
from bev.geometry import KannalaBrandt

# Names of nuScenes' image files: folder, log, channel, and 16 digits of microseconds.
_DATED = re.compile(r"(?P<folder>.*/)[^/*{}]+(?P<channel>__[^/*{}]+__)\d{16}(?P<end>\.\w+)")


def rig_of_sample(index: Index, token: str, motion: bool = True) -> Rig:
    """The cameras of a sample.

    The patterns of the images are relative to the data root. With motion, which is that of this
    sample alone, they are the names of its files. Otherwise they match the images of all logs, and
    nuScenes' names, ``LOG__CHANNEL__MICROSECONDS.jpg``, give sequences and times.

    Args:
        index: opened data set.
        token: token of the sample.
        motion: whether ``ego_from_camera`` includes the motion of the vehicle from each camera's
            time to the sample's; otherwise it is the camera's pose on the vehicle.

    Raises:
        DataError: if there is no such sample, it has no image, or an image has a name that is no
            pattern.
    """
    row = int(index.rows_of([token])[0])
    cameras = [
        name
        for name, channel in index.channels.items()
        if index.sensor.modality[channel] == b"camera" and index.sample.data[row, channel] != NO_ROW
    ]
    if not cameras:
        raise DataError(f"Sample {token} has no image; name another one.")
    frame = read_frame(index, row, _usual_order(cameras))
    entries = []
    for camera in frame.cameras:
        data = int(index.sample.data[row, index.channels[camera.name]])
        pose = camera.ego_from_camera
        if not motion:
            own = ego_from_sensor(index, data, np.linalg.inv(global_from_ego_at(index, data)))
            pose = pose.new_tensor(own)
        lens, distortion = camera.lens, None
        if isinstance(lens, KannalaBrandt):
            distortion = Distortion(
                "fisheye", tuple(lens.coefficients.tolist()), lens.max_angle.item()
            )
        entries.append(
            RigCamera(
                name=camera.name,
                intrinsics=camera.intrinsics,
                ego_from_camera=pose,
                size=camera.size,
                distortion=distortion,
                images=(_exact if motion else _pattern)(index.sample_data.filename[data].decode()),
                keep_lens=distortion is not None,
            )
        )
    return Rig(tuple(entries))


def _usual_order(cameras: list[str]) -> list[str]:
    """nuScenes' cameras in their usual order, others behind."""
    return [*(name for name in CAMERAS if name in cameras), *sorted({*cameras} - {*CAMERAS})]


def _exact(filename: str) -> str:
    """Pattern that matches one file."""
    if set("*{}") & set(filename):
        raise DataError(
            f"Image {filename} has one of * {{ }} in its name, which patterns of a rig cannot name;"
            " rename the file, in the tables too."
        )
    return filename


def _pattern(filename: str) -> str:
    """Pattern of a camera's images: nuScenes' names, or all images of the folder."""
    if named := _DATED.fullmatch(filename):
        folder, channel, end = named.groups()
        return f"{folder}{{sequence}}{channel}{{microseconds}}{end}"
    return str(PurePosixPath(filename).with_name(f"*{PurePosixPath(filename).suffix}"))
