"""``bevlab visualize`` with the viewer and its recordings, from the command line."""

import builtins
import re
import signal
import subprocess
import sys
import urllib.request
from unittest.mock import patch

import pytest
from commands import ROOT, call
from made_scene import made_recording
from required import need

from bev.visualization.viewer.recording import read_recording, write_recording


@pytest.fixture(scope="module")
def recorded(synthetic_world, tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "scene.bevrec"
    out, _ = call(
        "visualize.py", "lss_synthetic", "--data.root", synthetic_world, "--record", path,
        "--camera-width", "64",
    )  # fmt: skip
    assert out.splitlines()[-1] == str(path)
    return path


def test_a_scene_is_recorded_from_a_config(recorded):
    recording = read_recording(recorded)
    assert recording.title == "lss_synthetic" and recording.layers == ("ground truth",)
    assert len(recording.moments) == 4 and len(recording.moments[0].cameras) == 6
    assert all(len(one.boxes[0]) and one.lidar is not None for one in recording.moments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.bevrec", "a.json"], "a.bevrec is a recording, which holds no data to combine"),
        (["lss_synthetic", "--record", "a.zip"], "The recording 'a.zip' must end in .bevrec."),
        (["lss_synthetic", "--viewer", "--check"], "leave out --video and --check"),
        (["none.bevrec"], "Recording none.bevrec cannot be used (No such file or directory)"),
        (["none.bevrec", "--record", "b.bevrec"], "none.bevrec is a recording, which holds no"),
        (["none.BEVREC"], "Recording none.BEVREC cannot be used (No such file or directory)"),
        (["none.bevrec", "--video", "b.mp4"], "leave out --video and --check"),
        (["lss_synthetic", "--viewer", "--port", "65536"], "--port is 65536; set it to"),
        (["lss_synthetic", "--viewer", "--host", "192.0.2.1"], "cannot listen at 192.0.2.1, port"),
        (["lss_synthetic", "--viewer", "--host", "\u00e9" * 99], "choose others by --host and"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(arguments, message, tmp_path, monkeypatch):
    need("viser")
    monkeypatch.chdir(tmp_path)
    _, error = call("visualize.py", *arguments, code=1)
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


def test_without_viser_the_extra_is_named(recorded):
    imported = builtins.__import__

    def without(name, *arguments, **more):
        if name == "viser":
            raise ImportError(name)
        return imported(name, *arguments, **more)

    with patch.object(builtins, "__import__", without):
        _, error = call("visualize.py", recorded, code=1)
    assert error == (
        "error: The viewer needs the package viser; install it with pip install 'bevlab[viewer]'.\n"
    )


@pytest.mark.slow
def test_a_recording_opens_in_a_fresh_process_and_ctrl_c_ends_it(tmp_path):
    need("viser")
    path = write_recording(made_recording(), tmp_path / "a.bevrec")
    command = [sys.executable, str(ROOT / "tools" / "visualize.py"), str(path), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        line = process.stdout.readline()
        (url,) = re.findall(r"^Viewer at (http://127\.0\.0\.1:\d+) \(Ctrl-C ends it\)$", line)
        with urllib.request.urlopen(url, timeout=20) as page:
            assert page.status == 200 and b"<title>" in page.read()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0 and out == "Viewer ended.\n" and error == "", (out, error)
