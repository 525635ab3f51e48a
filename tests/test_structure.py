"""The house: imports go one way, private names stay at home, and importing is cheap."""

import json
import re
from pathlib import Path

import isolated
import pytest
from structure import ROOT, imports, modules, reading_path

# From the ground up; the longest matching name decides on which floor a module stands.
FLOORS = [
    {"bev", "bev.errors", "bev.files", "bev.machine", "bev.calls"},
    {"bev.compatibility"},
    {"bev.serialization"},
    {"bev.geometry"},
    {"bev.ops"},
    {"bev.data"},
    {"bev.models"},
    {"bev.training.settings"},
    {"bev.config"},
    {"bev.evaluation"},
    {"bev.training"},
    {"bev.visualization"},
    {"bev.lab"},
    {"bev.cli"},
]

# Libraries that have one place, or few.
HOMES = {
    "lightning": ("bev.training",),
    "matplotlib": ("bev.visualization", "bev.lab"),
    "timm": ("bev.models.image",),
    "nuscenes": ("bev.data.nuscenes", "bev.evaluation", "bev.lab"),
    "tyro": ("bev.calls", "bev.config", "bev.cli"),
    "cv2": ("bev.data.images", "bev.training", "bev.visualization", "bev.lab"),
}


def floor_of(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for number, names in enumerate(FLOORS):
            if ".".join(parts[:length]) in names:
                return number
    raise AssertionError(f"{module} stands on no floor")


def target_of(found) -> str:
    """The module that an import reaches; ``from bev.ops import stock`` reaches one below."""
    whole = f"{found.module}.{found.name}"
    return whole if whole in modules() else found.module


def test_imports_go_one_way():
    upwards = [
        f"{found.importer} imports {target_of(found)}"
        for found in imports()
        if found.module.split(".")[0] == "bev"
        and floor_of(target_of(found)) > floor_of(found.importer)
    ]
    assert upwards == []


def test_private_names_stay_in_their_module():
    strays = [
        found
        for found in imports()
        if found.module.split(".")[0] == "bev"
        and any(part.startswith("_") for part in (*found.module.split("."), found.name))
        and found.name != "__version__"
    ]
    assert strays == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_its_place(library):
    users = {found.importer for found in imports() if found.module.split(".")[0] == library}
    homes = HOMES[library]
    assert users
    assert {u for u in users if not any(f"{u}.".startswith(f"{h}.") for h in homes)} == set()


def test_every_name_of_a_floor_is_there():
    """A floor of something that has moved away would hold nothing."""
    known = {name for floor in FLOORS for name in floor}
    assert known <= set(modules())


def test_there_are_no_circles():
    """Of imports at the top of modules; those within functions come when all modules are there."""
    above: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports(within_functions=False):
        if found.module.split(".")[0] == "bev" and target_of(found) != found.importer:
            above[found.importer].add(target_of(found))
    while free := [name for name, needed in above.items() if not needed & set(above)]:
        for name in free:
            del above[name]
    assert above == {}


def test_the_pages_name_what_there_is():
    paths = reading_path()
    assert len(paths) > 30 and [path for path in paths if not path.is_file()] == []
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = re.findall(r"^\| `((?:bev|configs)[\w/.]*)` \|", text.split("## ")[0], re.MULTILINE)
    assert len(rooms) > 8 and [room for room in rooms if not (ROOT / room).exists()] == []


def test_no_file_is_long_and_no_folder_is_full():
    files = modules().values()
    assert {path: n for path in files if (n := len(path.read_text().splitlines())) > 300} == {}
    folders: dict[Path, int] = {}
    for path in files:
        folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {folder: count for folder, count in folders.items() if count > 16} == {}


def test_importing_is_cheap():
    """What takes seconds to import comes when it is used; so does everything around the core."""
    code = (
        "import json, sys, bev, bev.ops, bev.config, bev.cli.train\n"
        "config = bev.config.load_file('lss_r50')\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(isolated.run(["-c", code], PYTHONPATH=str(ROOT))))
    heavy = {"lightning", "matplotlib", "nuscenes", "sklearn", "timm", "torchvision", "cv2"}
    assert {name for name in loaded if name.split(".")[0] in heavy} == set()
    assert {name for name in loaded if name.startswith("bev.lab")} == set()
