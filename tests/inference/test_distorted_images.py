"""Distorted images of the synthetic world: detection removes the lens that the renderer put in.

The images are sampled from a larger pinhole view of the same scene by OpenCV's own inverse of the
distortion; the lenses of ``bev.geometry`` are not used. Those without distortion are sampled from
it likewise, because the renderer's edges differ by the size of its view.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import pytest
import torch

from bev import load_detector
from bev.data.rig import Distortion, Rig, RigCamera
from bev.lab.synthetic.config import PRESETS, VAL_SPLIT, SceneKey
from bev.lab.synthetic.rendering.render import Renderer
from bev.lab.synthetic.rig import LIDAR, Mount, Part
from bev.lab.synthetic.rig import Rig as SceneRig
from bev.lab.synthetic.scene.scene import make_scene
from bev.lab.synthetic.visibility.ground_truth import frame_ground_truth

pytestmark = pytest.mark.slow

DISTORTIONS = {
    "plumb_bob": Distortion("plumb_bob", (-0.25, 0.07, 0.001, -0.0007, 0.0)),
    "rational_polynomial": Distortion(
        "rational_polynomial", (0.12, -0.09, 0.0006, -0.0004, 0.01, 0.45, 0.02, 0.005)
    ),
    "fisheye": Distortion("fisheye", (-0.03, 0.004, 0.0, 0.0)),
}
NONE = Distortion("plumb_bob", (0.0,) * 5)
SCENES = 8
CONFIG = PRESETS["default"]
WIDTH, HEIGHT = CONFIG.image_size


@dataclass(frozen=True)
class DistortedMount(Mount):
    """Camera whose images are those of a larger pinhole view through a distorting lens."""

    distortion: Distortion

    @cached_property
    def _rays(self) -> np.ndarray:
        """(height, width, 2) points at distance 1 that the pixels show."""
        u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
        pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2)
        coefficients = np.array(self.distortion.coefficients)
        if self.distortion.model == "fisheye":
            rays = cv2.fisheye.undistortPoints(pixels, self.camera_matrix, coefficients)
        else:
            end = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-10)
            matrix = self.camera_matrix
            rays = cv2.undistortPointsIter(pixels, matrix, coefficients, None, None, end)
        return rays.reshape(HEIGHT, WIDTH, 2)

    def parts(self, size):
        focal = self.camera_matrix[0, 0]
        low, high = self._rays.min((0, 1)) * focal - 2, self._rays.max((0, 1)) * focal + 2
        width, height = np.ceil((high - low) / 16).astype(int) * 16
        intrinsic = np.array([[focal, 0, -low[0]], [0, focal, -low[1]], [0, 0, 1]])
        mount = Mount(f"{self.channel} whole", self.translation, self.rotation, intrinsic)
        return (Part(mount, (int(width), int(height))),)

    def assembled(self, images):
        (part,) = self.parts((WIDTH, HEIGHT))
        matrix = part.mount.camera_matrix
        pixels = self._rays * matrix[0, 0] + matrix[:2, 2] - 0.5  # OpenCV's centres
        return cv2.remap(images[0], pixels.astype(np.float32), None, cv2.INTER_CUBIC)


def photographed(scene, number):
    """Images of a key frame, BGR by camera, and the rig at the lidar's time without distortion."""
    size = (WIDTH, HEIGHT)
    images = Renderer(scene, size).images(frame_ground_truth(scene, number, size), number)
    times, cameras = scene.firings[number], []
    ego_from_global = np.linalg.inv(scene.ego_pose(times[LIDAR]))
    for mount in scene.rig.cameras:
        pose = ego_from_global @ scene.ego_pose(times[mount.channel]) @ mount.ego_from_sensor
        matrices = torch.from_numpy(mount.camera_matrix), torch.from_numpy(pose)
        cameras.append(RigCamera(mount.channel, *matrices, (HEIGHT, WIDTH)))
    return images, Rig(tuple(cameras))


def through(distortion, scene):
    """Images of a scene through lenses with a distortion, and the rig without it."""
    mounts = {
        name: DistortedMount(**vars(mount), distortion=distortion) if name != LIDAR else mount
        for name, mount in scene.rig.mounts.items()
    }
    images, _ = photographed(replace(scene, rig=SceneRig(mounts)), 4)
    return images


@pytest.fixture(scope="module")
def scenes():
    """Scenes with their images without distortion, by the same optics, and their rigs."""
    made = [make_scene(SceneKey(VAL_SPLIT, n, CONFIG.seed), CONFIG) for n in range(SCENES)]
    return [(scene, through(NONE, scene), photographed(scene, 4)[1]) for scene in made]


def offsets(found, others):
    """Distance of each box to the nearest other box of its class, and from the vehicle, metres."""
    away = torch.cdist(found.boxes.center, others.boxes.center)
    away[found.boxes.label[:, None] != others.boxes.label] = torch.inf
    return torch.stack([away.min(dim=1).values, found.boxes.center[:, :2].norm(dim=1)])


@pytest.mark.parametrize("model", DISTORTIONS)
def test_boxes_are_those_of_the_undistorted_images(model, scenes):
    """Of 30 boxes within 10 m, all but two (fisheye: three) are the same to 0.1 m."""
    detector, distortion = load_detector("synthetic", "cpu"), DISTORTIONS[model]
    corrected, ignored = [], []
    for scene, images, rig in scenes:
        distorted = through(distortion, scene)
        known = Rig(tuple(replace(camera, distortion=distortion) for camera in rig.cameras))
        found = detector(images, rig, channels="bgr", score=0.4)
        corrected.append(offsets(found, detector(distorted, known, channels="bgr", score=0.1)))
        ignored.append(offsets(found, detector(distorted, rig, channels="bgr", score=0.1)))
    (off, distance), (unknown, _) = torch.cat(corrected, dim=1), torch.cat(ignored, dim=1)
    for near, far in (0, 10), (10, 20), (20, 30), (30, 80):
        own, other = (x[(distance >= near) & (distance < far)] for x in (off, unknown))
        print(
            f"{model}, {near} to {far} m: {len(own)} boxes, median {own.median():.3f} m,"
            f" {int((own < 0.1).sum())} within 0.1 m, {int((own < 0.5).sum())} within 0.5 m;"
            f" without the lens median {other.median():.3f} m"
        )
    own, other = off[distance < 10], unknown[distance < 10]
    moved = 3 if model == "fisheye" else 2
    assert len(own) >= 25 and (own >= 0.1).sum() <= moved and own.max() < 2
    assert own.median() < 0.02 and (off[distance < 20] < 0.1).float().mean() > 0.9
    assert other.median() > 5 * own.median() and (other > 0.1).float().mean() > 0.5
