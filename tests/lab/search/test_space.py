"""Space of a search: ranges and choices, conditions, and their check against the experiment."""

from dataclasses import replace
from pathlib import Path

import pytest

from bev.config import load_file
from bev.errors import ConfigError
from bev.lab.search import Choice, Float, Int, Search, Variants, When
from bev.lab.search.definition import check_search, read_search, trial_run
from bev.lab.search.space import choose, parse_space, variant

CONFIGS = Path(__file__).parents[3] / "configs"
SEARCHES = sorted((CONFIGS / "searches").glob("*.py"))
OPTIMISER = Variants({"adam": "", "sgd": "--train.optimizer SGD(momentum=0.9)"})


@pytest.fixture(scope="module")
def base():
    return load_file(CONFIGS / "lss_synthetic.py")


@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.stem)
def test_every_shipped_search_fits_its_base(path):
    search = check_search(read_search(path), [])
    assert search.name == path.stem and search.figure == "NDS"
    assert len(path.read_text().splitlines()) <= 60


def test_values_become_settings_of_their_types(base, tmp_path):
    space = {
        "train.lr": Float(1e-5, 1e-2, log=True),
        "model.view.channels": Int(16, 64, step=16),
        "data.image_size": Choice(((64, 176), (128, 352))),
        "train.compile": Choice((False, True)),
        "optimiser": OPTIMISER,
    }
    search = check_search(Search(base, space, name="s"), ["--train.seed", "4"])
    values = {
        "train.lr": 1e-5, "model.view.channels": 32, "data.image_size": "64 176",
        "train.compile": "false", "optimiser": "sgd",
    }  # fmt: skip
    run = trial_run(search, 7, values, tmp_path)
    assert run.name == "trial_007_seed4" and run.folder == tmp_path / "s" / "trial_007_seed4"
    config = run.config
    assert config.train.lr == 1e-5 and config.model.view.channels == 32
    assert config.data.image_size == (64, 176) and config.train.compile is False
    assert str(config.train.optimizer) == "torch.optim.SGD(momentum=0.9)"
    assert replace(config, train=base.train, name=base.name, data=base.data) == replace(
        base, model=config.model
    )


def test_a_parameter_exists_only_where_its_condition_holds():
    space = {
        "optimiser": OPTIMISER,
        "train.weight_decay": Float(0, 1, when=When("optimiser", ("adam",))),
        "schedule": Variants({"flat": "", "cosine": ""}, when=When("optimiser", ("sgd",))),
        "train.lr": Float(1, 2, when=When("schedule", ("cosine",))),
    }
    first = choose(space, lambda name, parameter: parameter.corners()[0])
    assert first == {"optimiser": "adam", "train.weight_decay": 0}
    last = choose(space, lambda name, parameter: parameter.corners()[-1])
    assert last == {"optimiser": "sgd", "schedule": "cosine", "train.lr": 2}
    assert variant(space, first) == ("", "--train.weight-decay 0")


def test_a_space_on_the_command_line():
    assert parse_space((
        "train.lr=1e-4..1e-2:log", "model.view.channels=16..64:16", "--train.max-grad-norm=1..8",
        "data.fraction=0.5..1", "train.ema=0,0.99", "data.image-size=64 176,128 352",
        "train.warmup_steps=1..1000:log",
    )) == {
        "train.lr": Float(1e-4, 1e-2, True), "model.view.channels": Int(16, 64, 16),
        "train.max_grad_norm": Int(1, 8), "data.fraction": Float(0.5, 1.0),
        "train.ema": Choice(("0", "0.99")), "data.image_size": Choice(("64 176", "128 352")),
        "train.warmup_steps": Int(1, 1000, log=True),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("train.lr",), "--vary train.lr is none of field=low..high"),
        (("train.lr=1..fast",), "is none of"),
        (("train.lr=0.1..1:2",), "is none of"),
        (("train.lr=1..2", "--train.lr=3..4"), "names train.lr twice"),
        (("train.lr=2..1",), "from 2 to 1 is none"),
        (("train.lr=0..1:log",), "has no logarithm"),
        (("train.lr=1..8:3",), "does not end at a step; set its high to 7"),
        (("train.lr=1",), "among 1 needs two or more different values"),
        (("train.ema=0..2",), r"At train.ema=2 of the search, train.ema is 2"),
        (("data.batch_size=0,1",), r"At data.batch_size=0 of the search, data.batch_size is 0"),
        ((), "varies nothing: name a field"),
    ],
)
def test_impossible_spaces_are_refused_before_the_first_trial(base, texts, message):
    with pytest.raises(ConfigError, match=message):
        check_search(Search(base, parse_space(texts)), [])


def test_a_value_that_is_no_value_of_its_field_names_the_flag(base, capsys):
    for text in ("model.view.chanels=16..32", "model.view.channels=0.5..8"):
        with pytest.raises(SystemExit):
            check_search(Search(base, parse_space((text,))), [])
        assert "--model.view.channels" in capsys.readouterr().err


def test_a_condition_on_what_is_no_earlier_choice_is_refused(base):
    late = {"train.lr": Float(1, 2, when=When("optimiser", ("sgd",))), "optimiser": OPTIMISER}
    with pytest.raises(ConfigError, match="which is no choice earlier in the space; name one of n"):
        check_search(Search(base, late), [])
    never = {"optimiser": OPTIMISER, "train.lr": Float(1, 2, when=When("optimiser", ("lion",)))}
    with pytest.raises(ConfigError, match=r"is lion, which it never is; choose among adam \| sgd"):
        check_search(Search(base, never), [])


def test_errors_are_minimised_and_scores_maximised(base):
    def aim(metric, direction="auto"):
        return Search(base, {}, metric=metric, direction=direction).aim

    assert [aim(name) for name in ("", "mAP", "iou_road", "mATE", "depth_rmse")] == [
        "maximize", "maximize", "maximize", "minimize", "minimize",
    ]  # fmt: skip
    assert aim("mATE", "maximize") == "maximize"


def test_a_flag_that_sets_a_searched_field_is_refused(base):
    search = Search(base, {"train.max_grad_norm": Float(1, 2)})
    with pytest.raises(ConfigError, match="--train.max-grad-norm=5 sets the field that the search"):
        check_search(search, ["--train.max-grad-norm=5"])
