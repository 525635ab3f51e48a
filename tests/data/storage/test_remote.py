"""A data root on object storage: fsspec's memory, an archive and a web server, and its cache."""

import errno
import functools
import http.server
import json
import shutil
import sys
import threading
import zipfile
from pathlib import Path

import fsspec
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from torch.utils.data import DataLoader

from bev.config import Experiment, load_config, load_file, save_config
from bev.data.batch import collate
from bev.data.checks.check import CheckConfig, check_data, versions_in
from bev.data.dataset import KeyFrames
from bev.data.folder.source import FolderSource
from bev.data.nuscenes.index_cache import open_index
from bev.data.settings import DataConfig
from bev.data.storage.remote import local_folder
from bev.errors import ConfigError, DataError
from bev.paths import url_of

VERSION = "v1.0-synthetic"


@pytest.fixture()
def cache(tmp_path, monkeypatch):
    """Folder of all caches, which no other test uses."""
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture()
def memory(synthetic_world, cache, monkeypatch):
    """The synthetic world in fsspec's memory, at memory://bucket/world."""
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    system = fsspec.filesystem("memory")
    for path in synthetic_world.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.parts):
            system.pipe(f"/bucket/world/{path.relative_to(synthetic_world)}", path.read_bytes())
    return system


def samples(root, **settings):
    data = DataConfig(root=root, version=VERSION, image_size=(64, 176), lidar=True, **settings)
    return KeyFrames(data.source.open(data).frames("synthetic_val"), data, training=False)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.views.images, other.views.images)
        assert torch.equal(one.boxes[0].center, other.boxes[0].center)
        assert torch.equal(one.lidar[0], other.lidar[0])
        assert one.tokens == other.tokens


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/nuscenes", "gs://bucket", "http://host:80/data/x", "memory://a",
        "file:///data/nuscenes", "zip://::s3://bucket/a.zip", "zip://inner::file:///b/a.zip",
    ],
)  # fmt: skip
def test_a_url_survives_as_a_path(url, tmp_path):
    """pathlib joins slashes; the command line, YAML files and checkpoints keep the URL."""
    assert url_of(Path(url)) == url and url_of(Path(url) / "maps") == f"{url}/maps"
    saved = tmp_path / "config.yaml"
    save_config(Experiment(data=DataConfig(root=Path(url))), saved)
    assert f"root: {url}" in saved.read_text().replace("'", "")
    assert load_file(saved).data.root == Path(url)
    again = load_config(saved, ["--data.root", url])
    assert url_of(again.data.root) == url


@pytest.mark.parametrize("path", ["/data/nuscenes", "data", ".", "c:/data", "a/s3:/b", "s3"])
def test_paths_are_no_urls(path):
    assert url_of(Path(path)) == "" and local_folder(Path(path)) == Path(path)


def test_samples_are_those_of_the_folder_and_fetched_when_read(memory, synthetic_world, cache):
    url = Path("memory://bucket/world")
    remote, local = samples(url), samples(synthetic_world)
    (folder,) = (cache / "remote").iterdir()
    assert (folder / VERSION / "sample_data.json").is_file() and not (folder / "samples").exists()
    assert_same([remote[0]], [local[0]])
    count = sum(path.is_file() for path in (folder / "samples").rglob("*"))
    assert count == len(remote.cameras) + 1  # images and the lidar file of one sample
    memory.store.clear()  # what was read is read again without the storage
    assert_same([samples(url)[0]], [local[0]])
    with pytest.raises(DataError, match=r"Camera \w+: Image .* cannot be read"):
        remote[1]


def test_workers_fetch_on_their_own(memory, synthetic_world):
    url = Path("memory://bucket/world")
    found = DataLoader(samples(url), batch_size=2, num_workers=1, collate_fn=collate)
    expected = DataLoader(samples(synthetic_world), batch_size=2, collate_fn=collate)
    assert_same(found, expected)


def test_decoded_images_are_cached_beside_the_others(memory, synthetic_world):
    url = Path("memory://bucket/world")
    expected = samples(synthetic_world)[0]
    for _ in range(2):
        assert_same([samples(url, image_cache=0.1)[0]], [expected])


def test_changed_tables_are_fetched_again(memory):
    url = Path("memory://bucket/world")
    before = len(open_index(url, VERSION).scene.name)
    name = f"/bucket/world/{VERSION}/scene.json"
    scenes = json.loads(memory.cat(name))
    scenes[0]["description"] = "changed, and so longer than before"
    memory.pipe(name, json.dumps(scenes).encode())
    assert len(open_index(url, VERSION).scene.name) == before
    folder = local_folder(url)
    assert (folder / VERSION / "scene.json").read_bytes() == memory.cat(name)


def test_a_data_check_reads_the_storage(memory, synthetic_world):
    config = CheckConfig(lidar=True)
    remote = check_data(Path("memory://bucket/world"), VERSION, config)
    local = check_data(synthetic_world, VERSION, config)
    counts = [text.partition(": ")[2] for text, _ in (remote, local)]
    assert counts[0] == counts[1] and remote[1].by_kind == local[1].by_kind
    with pytest.raises(DataError, match=r"memory://bucket/world cannot be listed; .* --version"):
        versions_in(Path("memory://bucket/world"))


def test_an_archive(synthetic_world, tmp_path, cache):
    archive = Path(shutil.make_archive(str(tmp_path / "world"), "zip", synthetic_world))
    assert zipfile.is_zipfile(archive)
    found = samples(Path(f"zip://::file://{archive}"))
    assert_same([found[0]], [samples(synthetic_world)[0]])


def test_a_web_server(synthetic_world, cache):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=synthetic_world)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert_same([samples(Path(address))[0]], [samples(synthetic_world)[0]])
        with pytest.raises(DataError, match=rf"{address}/none has no tables of version v1.0-synth"):
            samples(Path(f"{address}/none"))
        server.shutdown()


def test_a_storage_that_cannot_be_read_is_one_sentence(memory, monkeypatch):
    url = Path("memory://bucket/world")
    found = samples(url)

    def refused(*_, **__):
        raise fault

    monkeypatch.setattr(MemoryFileSystem, "get_file", refused)
    file = "File memory://bucket/world/samples/LIDAR_TOP/.*"
    fault = PermissionError("access denied")
    message = rf"{file} cannot be read \(PermissionError: access denied\); check"
    with pytest.raises(DataError, match=message):
        found[0]
    fault = OSError(errno.ENOSPC, "No space left on device")
    message = rf"{file} does not fit into the cache, .*\(No space .*\); free space on .*BEV_CACHE"
    with pytest.raises(DataError, match=message):
        found[0]


def test_other_kinds_of_urls_are_refused(monkeypatch):
    with pytest.raises(DataError, match=r"Data root nonesuch://a cannot be opened .*nonesuch"):
        open_index(Path("nonesuch://a"), VERSION)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DataError, match=r"s3://a needs another package \(.*s3fs.*install it"):
        open_index(Path("s3://a"), VERSION)
    with pytest.raises(DataError, match="has no version '../b'"):
        open_index(Path("memory://a"), "../b")
    with pytest.raises(ConfigError, match=r"data.root is s3://a, and FolderSource reads folders"):
        DataConfig(root=Path("s3://a"), source=FolderSource())
