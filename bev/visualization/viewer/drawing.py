"""Drawing of a moment of a recording with viser.

Names of nodes are numbers of this module, never names from data. All nodes that belong to the
vehicle lie below ``/ego``, whose pose places them in the scene.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bev.visualization.colors import PALETTE, Color, Theme
from bev.visualization.viewer import nodes as make
from bev.visualization.viewer import shapes
from bev.visualization.viewer.choice import Choice, Selected
from bev.visualization.viewer.contents import LIDAR_STEP, BoxTable, Moment, Recording
from bev.visualization.viewer.wording import plain

if TYPE_CHECKING:
    import viser

_MARK: Color = (255, 176, 0)  # the selected box
_VEHICLE = ((4.08, 1.73, 1.56), (1.12, 0.0, 0.78))  # size and centre of the nuScenes car, metres
_LOW, _HIGH = 0.0, 5.0  # heights between which lidar points change their colour, metres
_MOVING = 0.5  # m/s, minimum speed of boxes with an arrow


class Drawing:
    """What is drawn of a recording.

    Args:
        server: server of viser.
        recording: what is shown.
        theme: colours.
        tracks: seconds of the past positions of tracked objects.
        clicked: called with the index of a moment and a box of it when it is clicked.
    """

    def __init__(
        self,
        server: "viser.ViserServer",
        recording: Recording,
        theme: Theme,
        tracks: float,
        clicked: Callable[[int, Selected], None],
    ) -> None:
        self.server, self.scene, self.recording = server, server.scene, recording
        self.theme, self.tracks, self.clicked = theme, tracks, clicked
        self.maps = tuple(dict.fromkeys(m.name for one in recording.moments for m in one.maps))
        self.groups = {
            name: self.scene.add_frame(f"/ego/{number}", show_axes=False)
            for number, name in enumerate(self.layers())
        }
        self.ego = self.scene.add_frame("/ego", show_axes=False)
        self.drawn: dict[str, list[viser.SceneNodeHandle]] = {}
        self.pose = np.eye(4)  # of the vehicle as it is drawn
        self._draw_ground()

    def layers(self) -> list[str]:
        """Keys of the layers that can be switched on and off."""
        sets = [f"set {number}" for number in range(len(self.recording.layers))]
        maps = [f"map {number}" for number in range(len(self.maps))]
        return ["images", "lidar", *sets, "velocities", "tracks", "rings", *maps]

    def draw(self, choice: Choice, before: Choice | None) -> None:
        """Draw what differs from what was drawn before; None draws everything."""
        moment = self.recording.moments[choice.moment]
        new = before is None or before.moment != choice.moment
        with self.server.atomic():
            if new or before is None or before.image_distance != choice.image_distance:
                self._draw_images(moment, choice.image_distance)
            if new:
                self._draw_lidar(moment)
                self._draw_maps(moment)
            if before is None or _boxes_of(choice) != _boxes_of(before):
                self._draw_boxes(moment, choice)
            if new:
                self._draw_tracks(choice)
            if new or before is None or before.selected != choice.selected:
                self._mark(moment, choice.selected)
            self.pose = np.eye(4) if choice.follows else moment.scene_from_ego
            self.ego.wxyz = make.quaternions(self.pose[:3, :3])
            self.ego.position = self.pose[:3, 3]
            for name, group in self.groups.items():
                group.visible = name not in choice.hidden
        self.server.flush()

    def color_of_set(self, layer: int) -> Color:
        """Colour of a set of boxes; that of the ground truth contrasts with the ground."""
        return PALETTE[(layer - 1) % len(PALETTE)] if layer else self.theme.ground_truth

    def colors(self, layer: int, boxes: BoxTable, choice: Choice) -> np.ndarray:
        """(M, 3) uint8 colours of boxes."""
        plain_truth = layer == 0 and len(self.recording.layers) > 1
        if choice.color_by == "set" or plain_truth:
            return np.tile(np.array(self.color_of_set(layer), np.uint8), (len(boxes), 1))
        classes = np.array([one.color for one in self.recording.classes], np.uint8)
        return classes.reshape(-1, 3)[boxes.label]

    def _replace(self, key: str, nodes: list["viser.SceneNodeHandle"]) -> None:
        """Keep the new nodes of a part; those of its former ones that have no successor go."""
        names = {node.name for node in nodes}
        for node in self.drawn.get(key, ()):
            if node.name not in names:
                node.remove()
        self.drawn[key] = nodes

    def _draw_ground(self) -> None:
        size, center = _VEHICLE
        self.scene.add_box(
            "/ego/vehicle", color=self.theme.ego, dimensions=size, position=center, opacity=0.8,
            cast_shadow=False, receive_shadow=False,
        )  # fmt: skip
        group = self.groups["rings"].name
        rings = np.concatenate([shapes.ring_lines(radius) for radius in shapes.RINGS])
        self.scene.add_line_segments(
            f"{group}/rings", rings, self.theme.grid, thickness=1, thickness_units="screen"
        )
        for radius in shapes.RINGS:
            at = (radius * 0.7071, -radius * 0.7071, 0.0)
            self.scene.add_label(
                f"{group}/{radius}", f"{radius} m", position=at, anchor="center-center",
                font_screen_scale=0.7,
            )  # fmt: skip

    def _draw_images(self, moment: Moment, distance: float) -> None:
        group = self.groups["images"].name
        nodes: list[viser.SceneNodeHandle] = []
        lines = [np.zeros((0, 2, 3))]
        for number, camera in enumerate(moment.cameras):
            left, top, right, bottom = camera.border
            middle = np.array([(left + right) / 2, (top + bottom) / 2, 1]) * distance
            nodes.append(
                self.scene.add_image(
                    f"{group}/{number}",
                    make.decoded(camera.jpeg, 3),
                    (right - left) * distance,
                    (bottom - top) * distance,
                    jpeg_quality=85,
                    cast_shadow=False,
                    receive_shadow=False,
                    wxyz=make.quaternions(camera.ego_from_camera[:3, :3]),
                    position=shapes.moved(camera.ego_from_camera, middle),
                )
            )
            lines.append(shapes.frustum(camera, distance))
        nodes += make.lines(
            self.scene, f"{group}/lines", np.concatenate(lines), self.theme.faint_text, 1
        )
        self._replace("images", nodes)

    def _draw_lidar(self, moment: Moment) -> None:
        nodes: list[viser.SceneNodeHandle] = []
        if moment.lidar is not None and len(moment.lidar):
            points = moment.lidar.astype(np.float32) * LIDAR_STEP
            share = np.clip((points[:, 2:] - _LOW) / (_HIGH - _LOW), 0, 1)
            low, high = (np.array(c) for c in (self.theme.lidar, self.theme.ground_truth))
            colors = np.round(low + 0.7 * share * (high - low)).astype(np.uint8)
            nodes.append(
                self.scene.add_point_cloud(
                    f"{self.groups['lidar'].name}/points", points, colors, point_size=0.05,
                    point_shape="circle", point_shading="flat",
                )
            )  # fmt: skip
        self._replace("lidar", nodes)

    def _draw_maps(self, moment: Moment) -> None:
        nodes: list[viser.SceneNodeHandle] = []
        for one in moment.maps:
            number = self.maps.index(one.name)
            left, low, right, high = one.extent
            nodes.append(
                self.scene.add_image(
                    f"{self.groups[f'map {number}'].name}/map",
                    make.decoded(one.png, 4),
                    right - left,
                    high - low,
                    format="png",
                    cast_shadow=False,
                    receive_shadow=False,
                    position=((left + right) / 2, (low + high) / 2, 0.02 + 0.02 * number),
                )
            )
        self._replace("maps", nodes)

    def _draw_boxes(self, moment: Moment, choice: Choice) -> None:
        nodes: list[viser.SceneNodeHandle] = []
        arrows, arrow_colors = [np.zeros((0, 2, 3))], [np.zeros((0, 3), np.uint8)]
        for layer, boxes in enumerate(moment.boxes):
            rows = np.flatnonzero(choice.shown(layer, boxes))
            if not len(rows):
                continue
            corners = shapes.corners(boxes, moment.scene_from_ego)[rows]
            colors = self.colors(layer, boxes, choice)[rows]
            group = self.groups[f"set {layer}"].name
            thin = layer == 0 and len(moment.boxes) > 1
            lines = shapes.box_lines(corners, crossed=thin)
            line_colors = np.repeat(colors, lines.shape[1], axis=0)
            flat = lines.reshape(-1, 2, 3)
            nodes += make.lines(
                self.scene, f"{group}/lines", flat, line_colors, 1.2 if thin else 2.2
            )
            opacity = 0.06 if thin else 0.16
            body = make.bodies(
                self.scene, f"{group}/bodies", corners, boxes.size[rows], colors, opacity
            )
            body.on_click(self._click_of(choice.moment, layer, rows))
            nodes.append(body)
            if not thin:
                nodes += make.fronts(self.scene, f"{group}/fronts", corners, colors)
            velocity = boxes.velocity[rows]
            moving = np.nan_to_num(np.linalg.norm(velocity, axis=1)) > _MOVING
            start = corners[moving].mean(axis=1)
            step = np.pad(velocity[moving], ((0, 0), (0, 1)))
            if f"set {layer}" not in choice.hidden:
                arrows.append(np.stack([start, start + step], axis=1))
                arrow_colors.append(colors[moving])
        nodes += make.arrows(
            self.scene,
            f"{self.groups['velocities'].name}/arrows",
            np.concatenate(arrows),
            np.concatenate(arrow_colors),
        )
        self._replace("boxes", nodes)

    def _click_of(self, moment: int, layer: int, rows: np.ndarray) -> Callable[..., None]:
        def click(event: "viser.SceneNodePointerEvent") -> None:
            if event.instance_index is not None and event.instance_index < len(rows):
                self.clicked(moment, Selected(layer, int(rows[event.instance_index])))

        return click

    def _draw_tracks(self, choice: Choice) -> None:
        lines, labels = shapes.track_lines(self.recording, choice.moment, 0, self.tracks)
        classes = np.array([one.color for one in self.recording.classes], np.uint8).reshape(-1, 3)
        name = f"{self.groups['tracks'].name}/lines"
        self._replace("tracks", make.lines(self.scene, name, lines, classes[labels], 2.5))

    def _mark(self, moment: Moment, selected: Selected | None) -> None:
        nodes: list[viser.SceneNodeHandle] = []
        if selected is not None:
            boxes = moment.boxes[selected.layer]
            corners = shapes.corners(boxes, moment.scene_from_ego)[selected.row]
            lines = shapes.box_lines(corners[None], crossed=False)[0]
            nodes += make.lines(self.scene, "/ego/selected/lines", lines, _MARK, 5)
            text = plain(self.recording.classes[int(boxes.label[selected.row])].name)
            if selected.layer:
                text += f" {float(boxes.score[selected.row]):.2f}"
            top = corners[[0, 1, 4, 5]].mean(axis=0) + (0, 0, 0.4)
            nodes.append(
                self.scene.add_label(
                    "/ego/selected/label", text, position=top, anchor="bottom-center"
                )
            )
        self._replace("selected", nodes)


def _boxes_of(choice: Choice) -> tuple[object, ...]:
    """Parts of a choice that decide how boxes are drawn."""
    return choice.moment, choice.score, choice.color_by, choice.hidden
