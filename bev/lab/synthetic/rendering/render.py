"""Renderer of camera images from the ground truth of a scene."""

import cv2
import numpy as np

from bev.lab.synthetic.rendering.ground import make_ground, paint_ground
from bev.lab.synthetic.rendering.painter import paint_items, paint_shadows, shadow_polygons
from bev.lab.synthetic.rendering.sky import make_backdrop, make_panorama, paint_haze, paint_sky
from bev.lab.synthetic.scene.scene import Scene
from bev.lab.synthetic.visibility.ground_truth import FrameGroundTruth
from bev.lab.synthetic.visibility.view import View

NOISE = 1.6
"""Standard deviation of the image noise, grey levels."""


class Renderer:
    """Renderer of one scene's images; everything constant over the scene is computed once.

    Args:
        scene: scene to render.
        size: (width, height) of the images in pixels.
    """

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        self._scene, self._size = scene, size
        rng = np.random.default_rng([scene.look_seed, 2])
        self._ground = make_ground(scene.road, scene.lots, scene.travel, rng)
        self._panorama = make_panorama(scene.weather, rng)
        self._backdrops = {
            part.mount.channel: make_backdrop(part.mount, part.size, scene.weather)
            for camera in scene.rig.cameras
            for part in camera.parts(size)
        }
        width, height = size
        tile = rng.normal(128.0, NOISE, (height + 64, width + 64)).round().astype(np.uint8)
        self._noise = cv2.merge([tile, np.roll(tile, 31, 1), np.roll(tile, 17, 0)])
        levels = np.linspace(0.0, 1.0, 256)[:, None] ** scene.weather.gamma
        curve = 255.0 * levels * scene.weather.gain
        self._curve = np.clip(curve, 0, 255).astype(np.uint8).reshape(256, 1, 3)
        light = scene.weather.ambient + scene.weather.direct * scene.weather.sun[2]
        self._ground_light = float(min(1.15, light))

    def images(self, ground_truth: FrameGroundTruth, frame: int) -> dict[str, np.ndarray]:
        """Images of a key frame by camera, each (H, W, 3) uint8, BGR."""
        scene, rng = self._scene, np.random.default_rng([self._scene.look_seed, 3, frame])
        shadows = shadow_polygons(ground_truth.items, scene.weather)
        images = {}
        for camera in scene.rig.cameras:
            pose = scene.ego_pose(scene.firings[frame][camera.channel])
            yaw = float(np.arctan2(pose[1, 0], pose[0, 0]))
            names = [part.mount.channel for part in camera.parts(self._size)]
            painted = [self._paint(ground_truth.views[name], name, shadows, yaw) for name in names]
            image = cv2.LUT(camera.assembled(painted), self._curve)
            dy, dx = rng.integers(0, 64, 2)
            grain = self._noise[dy : dy + image.shape[0], dx : dx + image.shape[1]]
            images[camera.channel] = cv2.addWeighted(image, 1.0, grain, 1.0, -128.0)
        return images

    def _paint(self, view: View, name: str, shadows, yaw: float) -> np.ndarray:
        """Image of a pinhole view without the camera's exposure and noise."""
        weather, backdrop = self._scene.weather, self._backdrops[name]
        image = np.empty((view.size[1], view.size[0], 3), np.uint8)
        if backdrop.top < len(image):
            paint_ground(image, self._ground, view.intrinsic, view.camera_from_global, backdrop.top)
            lower = image[backdrop.top :]
            cv2.convertScaleAbs(lower, lower, self._ground_light)
            paint_shadows(image, view, shadows, weather, backdrop.top)
            paint_haze(image, backdrop, weather)
        paint_sky(image, backdrop, self._panorama, yaw)
        paint_items(image, view, weather)
        return image
