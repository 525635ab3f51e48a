"""Structure of the package: direction of imports, private names, and the cost of importing."""

import json
import re
from pathlib import Path

import isolated
import pytest
from structure import ROOT, imports, modules, reading_path

# Lowest layer first; the longest matching name decides to which layer a module belongs.
LAYERS = [
    {"bev", "bev.errors", "bev.files", "bev.machine", "bev.calls", "bev.bounds"},
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
    {"bev.inference"},
    {"bev.visualization"},
    {"bev.lab"},
    {"bev.cli"},
]

# Libraries that are imported in few packages.
HOMES = {
    "lightning": ("bev.training",),
    "matplotlib": ("bev.visualization", "bev.lab"),
    "timm": ("bev.models.image", "bev.lab"),
    "viser": ("bev.visualization.viewer",),
    "optuna": ("bev.lab.search",),
    "wandb": ("bev.training.tracking",),
    "nuscenes": ("bev.data.nuscenes", "bev.evaluation", "bev.lab"),
    "tyro": ("bev.calls", "bev.config", "bev.narrow", "bev.options", "bev.cli"),
    "cv2": ("bev.data.images", "bev.training", "bev.visualization", "bev.lab"),
}


def layer_of(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for number, names in enumerate(LAYERS):
            if ".".join(parts[:length]) in names:
                return number
    raise AssertionError(f"{module} belongs to no layer")


def target_of(found) -> str:
    """The imported module; ``from bev.ops import stock`` imports a submodule."""
    whole = f"{found.module}.{found.name}"
    return whole if whole in modules() else found.module


def test_imports_go_one_way():
    upwards = [
        f"{found.importer} imports {target_of(found)}"
        for found in imports()
        if found.module.split(".")[0] == "bev"
        and found.importer != "bev"  # which names load_detector for type checkers
        and layer_of(target_of(found)) > layer_of(found.importer)
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
def test_a_library_is_imported_in_its_packages_alone(library):
    users = {found.importer for found in imports() if found.module.split(".")[0] == library}
    homes = HOMES[library]
    assert users
    assert {u for u in users if not any(f"{u}.".startswith(f"{h}.") for h in homes)} == set()


def test_every_module_named_in_a_layer_exists():
    """A layer that names a moved module would check nothing."""
    known = {name for layer in LAYERS for name in layer}
    assert known <= set(modules())


def test_there_are_no_import_cycles():
    """Only imports at the top of modules count; imports in functions run later."""
    above: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports(within_functions=False):
        if found.module.split(".")[0] == "bev" and target_of(found) != found.importer:
            above[found.importer].add(target_of(found))
    while free := [name for name, needed in above.items() if not needed & set(above)]:
        for name in free:
            del above[name]
    assert above == {}


def test_the_architecture_page_names_existing_files():
    paths = reading_path()
    assert len(paths) > 30 and [path for path in paths if not path.is_file()] == []
    text = (ROOT / "docs" / "architecture.md").read_text()
    names = re.findall(r"^\| `((?:bev|configs)[\w/.]*)` \|", text.split("## ")[0], re.MULTILINE)
    assert len(names) > 8 and [name for name in names if not (ROOT / name).exists()] == []


def test_no_file_is_long_and_no_folder_is_full():
    files = modules().values()
    assert {path: n for path in files if (n := len(path.read_text().splitlines())) > 300} == {}
    folders: dict[Path, int] = {}
    for path in files:
        folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {folder: count for folder, count in folders.items() if count > 16} == {}


def test_importing_is_cheap():
    """Slow libraries and the packages around the core are imported only when they are used."""
    code = (
        "import json, sys, bev, bev.ops, bev.config, bev.cli.train\n"
        "config = bev.config.load_file('lss_r50')\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(isolated.run(["-c", code], PYTHONPATH=str(ROOT))))
    heavy = {"lightning", "matplotlib", "nuscenes", "sklearn", "timm", "torchvision", "cv2"}
    assert {name for name in loaded if name.split(".")[0] in heavy} == set()
    assert {name for name in loaded if name.startswith("bev.lab")} == set()
