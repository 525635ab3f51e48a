"""Expansion of studies into runs, and refusal of invalid studies before the first run."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bev.config import Experiment, load_file, save_config
from bev.errors import ConfigError
from bev.lab.ablation import Study, grid, one_at_a_time, vary
from bev.lab.ablation.results import collect
from bev.lab.ablation.study import Run, expand, read_study, write_plans
from bev.lab.ablation.variants import parse_axes

CONFIGS = Path(__file__).parents[3] / "configs"
BASE = CONFIGS / "lss_synthetic.py"
STUDIES = sorted((CONFIGS / "ablations").glob("*.py"))


def expanded(*axes: str, overrides=(), alone=False, runs=Path("none"), **fields) -> list[Run]:
    combine = one_at_a_time if alone else grid
    study = replace(read_study(BASE), **fields)
    return expand(study, combine(*parse_axes(axes)), overrides, runs)


@pytest.mark.parametrize(
    "base",
    [
        pytest.param(None, id="own base"),
        pytest.param(CONFIGS / "lss_r50.py", id="lss_r50", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_expands(path, base, tmp_path):
    runs = expand(read_study(path, base), runs=tmp_path)
    assert len(runs) >= 4 and len({run.name for run in runs}) == len(runs)
    if base is None:  # plans contain all fields and are the same for any base
        write_plans(runs)
        assert all(load_file(run.plan) == run.config for run in runs)
    assert runs[0].study.name == path.stem + (f"_{base.stem}" if base else "")
    assert len(path.read_text().splitlines()) <= 60


def test_a_grid_holds_every_combination_for_every_seed():
    runs = expanded("model.view.channels=32,64", "train.lr=1e-3,3e-3", seeds=2)
    assert [run.variant for run in runs[:4]] == [
        "channels=32, lr=1e-3", "channels=32, lr=3e-3", "channels=64, lr=1e-3",
        "channels=64, lr=3e-3",
    ]  # fmt: skip
    assert [run.seed for run in runs] == [0] * 4 + [1] * 4
    assert runs[7].name == "channels=64_lr=3e-3_seed1"
    config = runs[7].config
    assert (config.model.view.channels, config.train.lr, config.train.seed) == (64, 3e-3, 1)
    base = load_file(BASE)
    named = replace(base.train, seed=1, lr=3e-3, run_name=runs[7].name, runs=Path("none"))
    assert config.train == named and config.data == base.data


def test_the_variant_equal_to_the_base_comes_first():
    """The base has 48 channels and a rate of 2e-3; the other variants are compared with it."""
    runs = expanded("model.view.channels=32,48", "train.lr=1e-3,2e-3")
    assert [run.variant for run in runs] == [
        "channels=48, lr=2e-3", "channels=32, lr=1e-3", "channels=32, lr=2e-3",
        "channels=48, lr=1e-3",
    ]  # fmt: skip


def test_contradictory_settings_are_found_before_the_first_run():
    with pytest.raises(ConfigError, match=r"Variant 'num_adjacent=1': The model joins 1"):
        expanded("model.temporal.num_adjacent=0,1")


def test_one_at_a_time_adds_the_base_to_the_variants():
    runs = expanded("model.view.channels=32,64", "train.lr=1e-3", alone=True)
    assert [run.variant for run in runs] == ["base", "channels=32", "channels=64", "lr=1e-3"]
    base = load_file(BASE)
    assert runs[0].config.model == runs[3].config.model == base.model
    assert runs[3].config.train.lr == 1e-3 and runs[2].config.train.lr == base.train.lr


def test_axis_values_are_parsed_like_command_line_flags():
    """Tuples, negative numbers, switches and words; fields of the same name are distinguished."""
    runs = expanded(
        "data.image-size=128 352,256 704", "model.grid.x=-40 40 0.8", "data.lidar=true,false",
        "--data.cameras=CAM_FRONT CAM_BACK", overrides=["--model.depth-supervision.weight", "0"],
    )  # fmt: skip
    config = runs[-1].config
    assert config.data.image_size == (256, 704) and config.model.grid.x == (-40, 40, 0.8)
    assert not config.data.lidar and config.data.cameras == ("CAM_FRONT", "CAM_BACK")
    assert runs[-1].variant.startswith("image_size=256 704, x=-40 40 0.8, lidar=false")
    axes = parse_axes(("model.neck.channels=8", "model.view.channels=9", "train.lr=1"))
    assert [next(iter(axis)) for axis in axes] == ["neck.channels=8", "view.channels=9", "lr=1"]


@pytest.mark.parametrize(
    ("axis", "named"),
    [
        ("model.view.chanels=32", "--model.view.channels"),
        ("train.lr=1e-3,fast", "lr=fast"),
        ("data.batch-size=2.5", "--data.batch-size"),
    ],
)
def test_errors_in_axes_name_the_flag_or_value(axis, named, capsys):
    with pytest.raises(SystemExit) as stop:
        expanded(axis)
    assert stop.value.code == 2 and named in capsys.readouterr().err


def test_errors_of_a_variant_name_it():
    with pytest.raises(ConfigError, match=r"'x=0 10 3'.*3\.333 cells"):
        expanded("model.grid.x=0 10 3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axes": ["train.lr"]}, "--vary train.lr is not of the form"),
        ({"axes": ["train.lr=1,,2"]}, "is not of the form"),
        ({"axes": ["train.lr=1", "train.lr=2"]}, "names train.lr twice"),
        ({"axes": ["data.batch-size=0"]}, "Variant 'batch_size=0': data.batch_size is 0"),
        ({"axes": ["train.lr=1,2"], "overrides": ["--train.lr", "3"]}, "are the same experiment"),
        ({"axes": ["train.lr=1"], "seeds": 0}, "0 seeds"),
    ],
)
def test_invalid_studies_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        expanded(*arguments.pop("axes"), **arguments)


def test_a_config_without_axes_is_refused():
    with pytest.raises(ConfigError, match="lss_synthetic varies nothing: name an axis"):
        expand(read_study(BASE))


def test_variants_defined_in_python(tmp_path):
    def deeper(config: Experiment) -> Experiment:
        return replace(
            config, train=replace(config.train, max_grad_norm=config.train.max_grad_norm + 1)
        )

    base, other = load_file(BASE), load_file(CONFIGS / "lss_r50.py")
    study = Study(base, {"a": "", "b": deeper, "c": (deeper, "--train.lr 1"), "d": other}, name="s")
    configs = {run.variant: run.config for run in expand(study, runs=tmp_path)}
    assert (
        configs["c"].train.max_grad_norm == base.train.max_grad_norm + 1
        and configs["c"].train.lr == 1
    )
    assert configs["d"].model == other.model and configs["d"].name == "s"
    with pytest.raises(ConfigError, match=r"'x' returns None, which is not an Experiment"):
        expand(Study(base, {"x": lambda config: None}))
    clash = grid(vary("train.lr", "1", name="a b"), {"": ""})
    with pytest.raises(ConfigError, match="would share a folder"):
        expand(Study(base, {**clash, "a_b=1": "--train.lr 2"}, name="s"))


def test_a_study_of_whole_experiments_refuses_another_base(tmp_path):
    path = tmp_path / "whole.py"
    path.write_text(
        "from bev.lab.ablation import Study\nfrom bev.config import Experiment\n"
        "study = Study(Experiment(), {'a': Experiment()})\n"
    )
    assert len(expand(read_study(path))) == 1
    with pytest.raises(ConfigError, match="'a' of .* is a whole experiment"):
        read_study(path, BASE)


def test_a_study_imports_configs_of_the_folder_above(tmp_path):
    (tmp_path / "parent_of_studies.py").write_text(
        "from bev.config import Experiment\nconfig = Experiment()\n"
    )
    (tmp_path / "studies").mkdir()
    path = tmp_path / "studies" / "mine.py"
    path.write_text(
        "from parent_of_studies import config as base\nfrom bev.lab.ablation import Study, vary\n"
        "study = Study(base, vary('train.lr', '1'))\n"
    )
    assert read_study(path).name == "mine"
    assert "parent_of_studies" not in sys.modules


def test_another_experiment_of_the_same_name_is_refused(tmp_path):
    run = expanded("train.lr=1e-3", runs=tmp_path)[0]
    run.folder.mkdir(parents=True)
    changed = replace(run.config, train=replace(run.config.train, max_grad_norm=1.0, pictures=9))
    save_config(changed, run.folder / "config.yaml")
    expanded("train.lr=1e-3", runs=tmp_path)  # the run failed, so nothing is lost
    (run.folder / "run.json").write_text("{}")
    with pytest.raises(
        ConfigError, match=r"another experiment \(train.max_grad_norm was 1.0, now 5.0\)"
    ):
        expanded("train.lr=1e-3", runs=tmp_path)
    elsewhere = replace(run.config, data=replace(run.config.data, root=Path("other")))
    save_config(elsewhere, run.folder / "config.yaml")
    assert expanded("train.lr=1e-3", runs=tmp_path)[0].finished


@pytest.mark.parametrize(
    ("log", "error", "last"),
    [
        (None, "", ""),
        ("Epoch 0\rEpoch 0: 40 %", "", "Epoch 0: 40 %"),
        ("step 3\nTraceback:\nRuntimeError: no memory\nbye", "RuntimeError: no memory", "bye"),
        ("error: Data root x does not exist.\n", "error: Data root x does not exist.", None),
        ("error: Stopped by SIGTERM after step 7; go on with --resume x.", "", None),
        ("step 3\nan error: none of a run's", "", None),
    ],
)
def test_a_log_without_an_error_belongs_to_an_unfinished_run(tmp_path, log, error, last):
    (run,) = expanded("train.lr=1", runs=tmp_path)
    run.log.parent.mkdir(parents=True)
    if log is not None:
        run.log.write_text(log)
        last = log.splitlines()[-1] if last is None else last
    assert (run.error, run.last_line) == (error, last)
    (row,) = collect([run])
    assert row.faults == ([(run.name, error, str(run.log))] if error else [])
    assert row.unfinished == ([] if error else [run.name])


def test_a_finished_run_has_no_error(tmp_path):
    (run,) = expanded("train.lr=1", runs=tmp_path)
    for folder in (run.log.parent, run.folder):
        folder.mkdir(parents=True)
    run.log.write_text("RuntimeError: of a thread that nobody waited for")
    assert run.error
    (run.folder / "run.json").write_text("{}")
    assert not run.error
