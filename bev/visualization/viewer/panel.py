"""Panel of the viewer: time, layers, score, colours, and the numbers of the selected box."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bev.visualization.viewer.choice import Change, Choice
from bev.visualization.viewer.contents import Recording
from bev.visualization.viewer.drawing import Drawing
from bev.visualization.viewer.shapes import moved
from bev.visualization.viewer.wording import box_rows, distinct, legend, note, plain, table

if TYPE_CHECKING:
    import viser

# Positions of the eye and of what it looks at, in the ego frame, metres.
VIEWS = {
    "behind": ((-22.0, 0.0, 22.0), (6.0, 0.0, 0.0)),
    "above": ((-0.5, 0.0, 85.0), (0.0, 0.0, 0.0)),
    "ahead": ((3.4, 0.0, 1.6), (20.0, 0.0, 1.0)),
}


class Panel:
    """Controls that change a choice.

    Args:
        server: server of viser.
        recording: what is shown.
        drawing: where it is drawn.
        choice: what is shown at first.
        change: called with each change; from threads of the server.
    """

    def __init__(
        self,
        server: "viser.ViserServer",
        recording: Recording,
        drawing: Drawing,
        choice: Choice,
        change: Callable[[Change], None],
    ) -> None:
        self.recording, self.drawing, self.change = recording, drawing, change
        gui, last = server.gui, len(recording.moments) - 1
        self.heading = gui.add_html("")
        self.time = gui.add_slider("Frame", 1, last + 1, 1, choice.moment + 1, visible=last > 0)
        self.time.on_update(lambda _: self._move(int(self.time.value) - 1))
        steps = gui.add_button_group("", ("◀", "play / stop", "▶"), visible=last > 0)
        steps.on_click(lambda _: self._step(steps.value))
        self.score = gui.add_slider(
            "Score ≥", 0.0, 1.0, 0.01, choice.score, visible=len(recording.layers) > 1
        )
        self.score.on_update(lambda _: self._set("score", float(self.score.value)))
        with gui.add_folder("Selected box"):
            self.numbers = gui.add_html(note("Click on a box."))
        with gui.add_folder("Layers"):
            self._add_layers(gui, choice)
        with gui.add_folder("View"):
            views = gui.add_button_group("From", tuple(VIEWS))
            views.on_click(lambda event: self._look(event.client, views.value))
            follows = gui.add_checkbox(
                "Vehicle stays", choice.follows,
                hint="Off: the scene stays, and the vehicle moves through it.",
            )  # fmt: skip
            follows.on_update(lambda _: self._set("follows", bool(follows.value)))
            colors = gui.add_dropdown(
                "Colours by", ("class", "set"), initial_value=choice.color_by,
                visible=len(recording.layers) > 1,
            )  # fmt: skip
            colors.on_update(lambda _: self._set("color_by", colors.value))
            distance = gui.add_slider("Images at (m)", 1.0, 30.0, 0.5, choice.image_distance)
            distance.on_update(lambda _: self._set("image_distance", float(distance.value)))
        self.legend = gui.add_html("")
        if last > 0:
            for command, act in (
                (gui.add_command("Next frame", hotkey="N"), "▶"),
                (gui.add_command("Previous frame", hotkey="B"), "◀"),
                (gui.add_command("Play or stop", hotkey="P"), "play / stop"),
            ):
                command.on_trigger(partial(self._stepped, act))

    def show(self, choice: Choice) -> None:
        """Show the text that belongs to a choice."""
        moment = self.recording.moments[choice.moment]
        number = f"{choice.moment + 1} of {len(self.recording.moments)}, {moment.seconds:.1f} s"
        rows = [("scene", self.recording.scene), ("frame", number), ("token", moment.token)]
        self._write(self.heading, table([(name, plain(text)) for name, text in rows]))
        slider: Any = self.time  # whose setter type checkers overlook
        if slider.value != choice.moment + 1:
            slider.value = choice.moment + 1
        self._write(self.legend, legend(self._legend(choice)))
        if choice.selected is None:
            self._write(self.numbers, note("Click on a box."))
            return
        layer, row = choice.selected
        numbers = box_rows(self.recording, layer, moment.boxes[layer], row)
        self._write(self.numbers, table(numbers))

    def _legend(self, choice: Choice) -> list[tuple[str, tuple[int, int, int]]]:
        recording, boxes = self.recording, self.recording.moments[choice.moment].boxes
        if choice.color_by == "set":
            colors = [self.drawing.color_of_set(layer) for layer in range(len(recording.layers))]
            return list(zip(distinct(recording.layers), colors, strict=True))
        shown = [one.label[choice.shown(layer, one)] for layer, one in enumerate(boxes)]
        labels = np.unique(np.concatenate(shown)).tolist()
        entries = [(recording.classes[n].name.replace("_", " "), recording.classes[n].color)
                   for n in labels]  # fmt: skip
        if len(recording.layers) > 1:
            entries.insert(0, (recording.layers[0], self.drawing.color_of_set(0)))
        return entries

    def _add_layers(self, gui: "viser.GuiApi", choice: Choice) -> None:
        recording, moments = self.recording, self.recording.moments
        titles = dict.fromkeys(self.drawing.layers(), "")
        titles |= {"images": "images" if any(one.cameras for one in moments) else ""}
        titles |= {"lidar": "lidar" if any(one.lidar is not None for one in moments) else ""}
        tracked = any((one.boxes[0].track >= 0).any() for one in moments)
        titles |= {"velocities": "velocities", "rings": "rings every 10 m"}
        titles |= {"tracks": "tracks of the ground truth" if tracked else ""}
        sets, maps = distinct(recording.layers), distinct(self.drawing.maps)
        titles |= {f"set {number}": name for number, name in enumerate(sets)}
        titles |= {f"map {number}": name for number, name in enumerate(maps)}
        for key, title in titles.items():
            if title:
                box = gui.add_checkbox(title, key not in choice.hidden)
                box.on_update(partial(self._switch, key))

    def _switch(self, key: str, event: "viser.GuiEvent[Any]") -> None:
        on = bool(event.target.value)
        self.change(lambda old: old.switched(key, on))

    def _move(self, moment: int) -> None:
        self.change(lambda old: old.at(self.recording, moment))

    def _set(self, name: str, value: Any) -> None:
        self.change(lambda old: replace(old, **{name: value}))

    def _step(self, act: str) -> None:
        if act == "play / stop":
            self.change(lambda old: replace(old, playing=not old.playing))
        else:
            self.change(lambda old: old.next(self.recording, 1 if act == "▶" else -1))

    def _stepped(self, act: str, _: Any) -> None:
        self._step(act)

    def _look(self, client: "viser.ClientHandle | None", name: str) -> None:
        if client is None:
            return
        eye, target = (moved(self.drawing.pose, np.array(point)) for point in VIEWS[name])
        with client.atomic():
            client.camera.position = eye
            client.camera.look_at = target

    @staticmethod
    def _write(handle: "viser.GuiHtmlHandle", content: str) -> None:
        if handle.content != content:
            handle.content = content
