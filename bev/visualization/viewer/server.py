"""The viewer in a browser: a server of viser, and the loop that draws what the panel chooses.

viser rather than rerun, because a click on a box must reach Python, and because of what the two
need: rerun's current versions need numpy 2, which nuscenes-devkit refuses, and the latest one that
pip finds beside numpy 1.26 draws boxes without their rotations.
"""

import errno
import io
import queue
import socket
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from bev.errors import ConfigError
from bev.visualization.colors import DARK, Theme
from bev.visualization.viewer.choice import Change, Choice, ColorBy, Selected
from bev.visualization.viewer.contents import ENERGY, Recording
from bev.visualization.viewer.drawing import Drawing
from bev.visualization.viewer.panel import VIEWS, Panel
from bev.visualization.viewer.wording import plain

if TYPE_CHECKING:
    import viser

_TRIES = 100  # ports
_PER_SECOND = 30  # drawings at most


def check_viser() -> None:
    """Check that viser is installed.

    Raises:
        ConfigError: if not.
    """
    try:
        import viser  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "The viewer needs the package viser; install it with pip install 'bevlab[viewer]'."
        ) from error


def free_port(host: str, port: int) -> int:
    """First port from ``port`` on that can be listened at; 0 chooses any.

    Raises:
        ConfigError: if the host is no address of this machine, or no port is free.
    """
    last = ""
    for candidate in [port] if port == 0 else range(port, min(port + _TRIES, 2**16)):
        try:
            with socket.create_server((host, candidate)) as found:
                return int(found.getsockname()[1])
        except (OSError, UnicodeError, TypeError) as error:  # also of names that are none
            last = getattr(error, "strerror", None) or str(error)
            if getattr(error, "errno", None) not in (errno.EADDRINUSE, errno.EACCES):
                break
    raise ConfigError(
        f"The viewer cannot listen at {host[:100]}, port {port} ({last}); choose others by --host"
        " and --port."
    )


class Viewer:
    """A recording in the browser.

    Args:
        recording: what is shown.
        host: address to listen at; 127.0.0.1 is reachable from this machine alone.
        port: port, or the first one from which on a free one is looked for; 0 for any.
        theme: colours.
        score: predictions with a lower score are not shown at first.
        tracks: seconds of the past positions of tracked objects.

    Raises:
        ConfigError: if viser is not installed, or the address cannot be listened at.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        theme: Theme = DARK,
        score: float = 0.3,
        tracks: float = 3.0,
    ) -> None:
        check_viser()
        self.recording, self.changes = recording, queue.SimpleQueue[Change | None]()
        maps = dict.fromkeys(m.name for one in recording.moments for m in one.maps)
        hidden = frozenset(f"map {n}" for n, name in enumerate(maps) if name.startswith(ENERGY))
        color_by: ColorBy = "set" if len(recording.layers) > 2 else "class"
        self.choice = Choice(score=score, color_by=color_by, hidden=hidden)
        port = free_port(host, port)
        with redirect_stdout(io.StringIO()):  # viser prints a table
            self.server = _private_server(host, port, plain(recording.title, 40))
        gui, scene = self.server.gui, self.server.scene
        gui.configure_theme(
            dark_mode=theme == DARK, show_logo=False, show_share_button=False,
            control_width="large",
        )  # fmt: skip
        scene.set_up_direction("+z")
        eye, target = VIEWS["behind"]
        self.server.initial_camera.position, self.server.initial_camera.look_at = eye, target
        self.drawing = Drawing(self.server, recording, theme, tracks, self._clicked)
        self.panel = Panel(self.server, recording, self.drawing, self.choice, self.changes.put)
        self.url = f"http://{'localhost' if host == '0.0.0.0' else host}:{port}"
        self._drawn: Choice | None = None
        self._draw()

    def run(self) -> None:
        """Apply and draw the changes that the panel proposes, until :meth:`stop` is called."""
        due = 0.0
        while True:
            pause = max(due - time.monotonic(), 0.0) if self.choice.playing else None
            try:
                changes = [self.changes.get(timeout=pause)]
            except queue.Empty:
                changes = []
            while not self.changes.empty():
                changes.append(self.changes.get())
            for change in changes:
                if change is None:
                    return
                self.choice = change(self.choice)
            if self.choice.playing and time.monotonic() >= due:
                due = time.monotonic() + self._interval()
                self.choice = self.choice.next(self.recording)
            self._draw()
            time.sleep(1 / _PER_SECOND)

    def stop(self) -> None:
        """End :meth:`run` and the server."""
        self.changes.put(None)
        with redirect_stdout(io.StringIO()):  # viser prints that it stopped
            self.server.stop()

    def _draw(self) -> None:
        if self.choice != self._drawn:
            self.drawing.draw(self.choice, self._drawn)
            self.panel.show(self.choice)
            self._drawn = self.choice

    def _clicked(self, moment: int, box: Selected) -> None:
        self.changes.put(lambda old: old.clicked(moment, box))

    def _interval(self) -> float:
        """Seconds until the moment after the next one, as they were recorded."""
        moments, place = self.recording.moments, self.choice.moment
        following = moments[(place + 1) % len(moments)].seconds - moments[place].seconds
        return min(max(following, 0.1), 2.0) if following > 0 else 1.0


def serve(viewer: Viewer) -> None:
    """Run a viewer until Ctrl-C."""
    print(f"Viewer at {viewer.url} (Ctrl-C ends it)", flush=True)
    try:
        viewer.run()
    except KeyboardInterrupt:
        print("Viewer ended.", flush=True)
    finally:
        viewer.stop()


def _private_server(host: str, port: int, label: str) -> "viser.ViserServer":
    """A server of viser that no message of a browser makes public through viser's share service."""
    import viser

    class Server(viser.ViserServer):
        def request_share_url(self, verbose: bool = True) -> str | None:
            return None

    return Server(host=host, port=port, label=label, verbose=False)
