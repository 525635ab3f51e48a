"""The viewer without a browser: what it draws for what is chosen, and its address."""

import socket
import threading
from dataclasses import replace

import pytest
from made_scene import made_recording
from required import need

from bev.errors import ConfigError
from bev.visualization.colors import LIGHT
from bev.visualization.viewer.choice import Choice, Selected
from bev.visualization.viewer.server import Viewer, free_port


class Running:
    """A viewer whose loop runs in a thread, as in the command."""

    def __init__(self, recording, **style) -> None:
        need("viser")
        self.viewer = Viewer(recording, port=0, **style)
        self.thread = threading.Thread(target=self.viewer.run)
        self.thread.start()

    def choose(self, *changes) -> None:
        """Propose changes, and wait until they are drawn."""
        drawn = threading.Event()
        panel, show = self.viewer.panel, self.viewer.panel.show
        panel.show = lambda choice: (show(choice), drawn.set())
        for change in changes:
            self.viewer.changes.put(change)
        assert drawn.wait(10)
        panel.show = show

    def nodes(self, part: str) -> dict:
        """Nodes of a part by their names."""
        return {node.name: node for node in self.viewer.drawing.drawn[part]}

    def close(self) -> None:
        self.viewer.stop()
        self.thread.join(timeout=20)
        assert not self.thread.is_alive()


@pytest.fixture(scope="module")
def running():
    shown = Running(made_recording(), theme=LIGHT)
    yield shown
    shown.close()


def group(running, layer: str):
    return running.viewer.drawing.groups[layer]


def test_everything_of_a_moment_is_drawn(running):
    running.choose(lambda _: Choice(score=0.5))
    assert len(running.nodes("images")) == 2 and len(running.nodes("lidar")) == 1
    assert len(running.nodes("maps")) == 1
    names = running.nodes("boxes")
    bodies = {name: node for name, node in names.items() if name.endswith("bodies")}
    counts = [len(node.batched_positions) for node in bodies.values()]
    assert counts == [2, 1]  # of two predictions, one has a lower score
    (truth, predicted) = bodies.values()
    assert truth.batched_positions[0] == pytest.approx((20, 0, 0.75))
    assert predicted.batched_scales[0] == pytest.approx((4, 2, 1.5))
    arrow = next(node for name, node in names.items() if "arrows" in name)
    assert arrow.points.tolist() == [[[5, 8, 0.75], [7, 8, 0.75]]]  # 2 m/s for a second


def test_the_score_and_the_layers_change_what_is_drawn(running):
    running.choose(lambda _: Choice(score=0.0))
    bodies = [node for name, node in running.nodes("boxes").items() if name.endswith("bodies")]
    assert [len(node.batched_positions) for node in bodies] == [2, 2]
    running.choose(lambda old: old.switched("lidar", False).switched("set 0", False))
    assert not group(running, "lidar").visible and group(running, "images").visible
    assert not [name for name in running.nodes("boxes") if "arrows" in name]
    running.choose(lambda old: replace(old, score=0.95))
    assert sum(name.endswith("bodies") for name in running.nodes("boxes")) == 1


def test_the_vehicle_stays_or_moves_through_the_scene(running):
    running.choose(lambda _: Choice(moment=2))
    assert running.viewer.drawing.ego.position.tolist() == [0, 0, 0]
    running.choose(lambda old: replace(old, follows=False))
    assert running.viewer.drawing.ego.position.tolist() == [2, 0, 0]


def test_the_numbers_of_the_selected_box_follow_its_track(running):
    running.choose(lambda _: Choice().clicked(0, Selected(0, 0)))
    content = running.viewer.panel.numbers.content
    assert "20.00, 0.00, 0.75 m" in content and ">van<" in content
    assert len(running.nodes("selected")) == 2
    running.choose(lambda old: old.next(running.viewer.recording))
    assert "19.00, 0.00, 0.75 m" in running.viewer.panel.numbers.content
    assert running.viewer.panel.time.value == 2
    assert "2 of 3, 0.5 s" in running.viewer.panel.heading.content
    running.choose(lambda old: replace(old, selected=None))
    assert "Click on a box" in running.viewer.panel.numbers.content
    assert running.nodes("selected") == {}


def test_playing_goes_on_by_itself(running):
    running.choose(lambda _: Choice(moment=1, playing=True))
    running.choose(lambda old: replace(old, playing=False))
    assert running.viewer.choice.moment == 2


def test_nodes_are_named_by_numbers_and_hostile_names_are_escaped():
    name = "</style><script>harm()</script>/../\u202e\ud800" + "x" * 10_000
    shown = Running(made_recording(name, (name, name), moments=1))
    try:
        shown.choose(lambda old: old.clicked(0, Selected(1, 0)))
        panel = shown.viewer.panel
        for html in (panel.heading, panel.numbers, panel.legend):
            assert "<script" not in html.content and len(html.content) < 5000
            html.content.encode()
        drawn = shown.viewer.drawing.drawn
        names = {node.name for nodes in drawn.values() for node in nodes}
        assert names and not [one for one in names if "script" in one]
    finally:
        shown.close()


def test_a_recording_without_boxes_images_lidar_and_maps_is_drawn():
    recording = made_recording(layers=("ground truth",), moments=1)
    (moment,) = recording.moments
    none = moment.boxes[0]
    rows = {name: getattr(none, name)[:0] for name in none.__dataclass_fields__}
    bare = replace(moment, cameras=(), maps=(), lidar=None, boxes=(replace(none, **rows),))
    shown = Running(replace(recording, moments=(bare,), classes=()))
    try:
        assert all(not nodes for nodes in shown.viewer.drawing.drawn.values())
    finally:
        shown.close()


def test_a_busy_port_is_passed_over_and_a_wrong_address_is_named():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        assert free_port("127.0.0.1", port) > port
    with pytest.raises(ConfigError, match="cannot listen at nowhere.invalid, port 8080"):
        free_port("nowhere.invalid", 8080)
