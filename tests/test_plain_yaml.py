"""Configs of strangers: whatever they contain, one sentence and little memory."""

import sys

import pytest
import yaml
from isolated import run_forked

from bev.config import Experiment, load_file
from bev.errors import ConfigError
from bev.plain_json import load_json
from bev.plain_yaml import load_yaml
from bev.serialization import to_plain

NINE = ", ".join(["*{0}"] * 9)
BOMB = "a0: &a0 [lol]\n" + "".join(
    f"a{n}: &a{n} [{NINE.format(f'a{n - 1}')}]\n" for n in range(1, 30)
)
DAMAGED = {
    "aliases of aliases": BOMB,
    "merged mappings": "a: &a {x: 1}\n" + "b: {<<: [" + "*a, " * 150_000 + "]}\n",
    "an alias of itself": "a: &a [*a]",
    "deep lists": "[" * 200_000,
    "deep mappings": "{a: " * 100_000,
    "deep blocks": "- " * 100_000,
    "many values": "- 1\n" * 120_000,
    "a long text": "a: " + "x" * (50 << 20),
    "an impossible date": "a: 2026-99-99",
    "a number of too many digits": "a: " + "9" * 5000,
    "an empty number": "a: !!int ''",
    "a tag without a value": "a: !!timestamp x",
    "a tag of another kind": "a: !!bool x",
    "a tag that runs code": "a: !!python/object/apply:os.system ['true']",
    "an unknown alias": "a: *b",
    "a list as a key": "? [1, 2]\n: 3",
    "an open quote": 'a: "b',
    "a tab": "a:\n\t- b",
    "a control character": "a: \x01",
}


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("ending", ["yaml", "yml"])
def test_a_damaged_config_ends_in_one_sentence(tmp_path, what, ending):
    path = tmp_path / f"config.{ending}"
    path.write_text(DAMAGED[what])
    with pytest.raises(ConfigError) as caught:
        load_file(path)
    message = str(caught.value)
    assert message.startswith(f"Config file {path} cannot be read: ")
    assert "\n" not in message and len(message) < 700


MEASURED = ["aliases of aliases", "merged mappings", "deep lists", "deep mappings", "a long text"]
READ = """
import re, sys, time
from pathlib import Path
from bev.config import load_file
from bev.errors import ConfigError

def memory(name):
    return int(re.search(rf"{name}:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10

for path in sys.argv[1:]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
    before, start = memory("VmRSS"), time.perf_counter()
    try:
        load_file(path)
    except ConfigError as error:
        print(time.perf_counter() - start, memory("VmHWM") - before, error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_config_that_would_need_all_memory_needs_little(tmp_path):
    """Below 300 MB beyond the imports. Seconds are printed; a hang ends the test."""
    script = tmp_path / "read.py"
    script.write_text(READ)
    paths = [tmp_path / f"{number}.yaml" for number in range(len(MEASURED))]
    for path, what in zip(paths, MEASURED, strict=True):
        path.write_text(DAMAGED[what])
    done = run_forked(script, *paths)
    assert done.code == 0 and "Traceback" not in done.error, done.error[-3000:]
    lines = done.out.splitlines()
    assert len(lines) == len(MEASURED)
    for what, line in zip(MEASURED, lines, strict=True):
        seconds, megabytes, message = line.split(maxsplit=2)
        print(f"{what}: {float(seconds):.2f} s, {megabytes} MB: {message[:90]}")
        assert int(megabytes) < 300 and float(seconds) < 30
        assert message.startswith("Config file") and "cannot be read: " in message


def test_bytes_that_are_no_text_end_in_one_sentence(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read: it is not UTF-8"):
        load_file(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{3: 4}", "{model: 3}", "{~: 1}", "{train: {lr: 0x" + "f" * 9000 + "}}"]
)
def test_another_content_ends_in_one_sentence(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_file(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2500


def test_aliases_within_bounds_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [1, 2]\nb: [*a, *a]\nc: &c x\nd: *c\ne: {<<: {f: 1}}")
    read = load_yaml(path)
    assert read == {"a": [1, 2], "b": [[1, 2], [1, 2]], "c": "x", "d": "x", "e": {"f": 1}}


def test_a_saved_config_is_far_below_the_bounds(tmp_path):
    """A tenth of the size and of the values, and half of the depth."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(to_plain(Experiment())))
    assert path.stat().st_size < (1 << 20) / 10 and load_yaml(path) == to_plain(Experiment())

    def depth(value) -> int:
        parts = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, parts), default=0) if isinstance(value, dict | list) else 0

    assert depth(to_plain(Experiment())) < 20


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * sys.getrecursionlimit()])
def test_json_that_is_nested_too_deeply_is_an_error_as_any_other(text):
    with pytest.raises(ValueError):
        load_json(text)
