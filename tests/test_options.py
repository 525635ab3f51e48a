"""Options of commands: every number is bounded, and refused by its flag before any work."""

import importlib
import math
import re
from dataclasses import fields, is_dataclass
from typing import get_args, get_type_hints

import pytest
from commands import attempt
from structure import modules

from bev.config import Experiment
from bev.errors import ConfigError
from bev.evaluation.robustness.perturbation import Perturbation

FILES = {name: path for name, path in modules().items() if name.startswith("bev.cli.")}

RESULTS, CHECKPOINT = ("evaluate.py", "none.json"), ("evaluate.py", "none.ckpt")
REFUSED = [
    (*RESULTS, "--within nan", "--within is nan; set it to above 0."),
    (*RESULTS, "--within -5", "--within is -5.0; set it to above 0."),
    (*RESULTS, "--pictures -3", "--pictures is -3; set it to at least 0."),
    (*RESULTS, "--displacement 1 0", "--displacement is (1, 0); set it to values that are each"),
    (*CHECKPOINT, "--noise-seed -1", "--noise-seed is -1; set it to at least 0."),
    (*CHECKPOINT, "--extrinsic-noise nan 0", "--extrinsic-noise is (nan, 0.0); set it to values"),
    (*CHECKPOINT, "--within nan --pictures -1", "2 settings cannot be used: --within is nan (set"),
    ("visualize.py", "none.ckpt", "--samples -1", "--samples is -1; set it to at least 0."),
    ("check_data.py", ".", "--workers -1", "--workers is -1; set it to at least 0."),
    ("check_data.py", ".", "--most -1", "--most is -1; set it to at least 0."),
    ("make_synthetic.py", "none", "--workers 0", "--workers is 0; set it to at least 1."),
    ("ablate.py", "none", "--replicates 0", "--replicates is 0; set it to at least 1."),
    ("benchmark.py", "data-index", "--scenes 851", "--scenes is 851; set it to at least 1 and"),
]


@pytest.mark.parametrize(("tool", "first", "options", "message"), REFUSED)
def test_an_option_that_cannot_be_meant_is_refused_by_its_flag(tool, first, options, message):
    status, _, error = attempt(tool, first, *options.split())
    assert status == 1 and error.startswith(f"error: {message}") and error.count("\n") == 1


def test_the_settings_of_a_config_are_checked_beside_the_options():
    """A config's data is checked by itself, the options by their flags."""
    given = ("check_data.py", "lss_r50", "--data.batch-size", "0", "--data.fraction", "2")
    _, _, error = attempt(*given, "--workers", "-1")
    assert error.startswith("error: --workers is -1; set it to at least 0.")
    _, _, error = attempt(*given)
    assert error.startswith("error: 2 settings cannot be used: data.fraction is 2.0 (set it to ")


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith("__main__")])
def test_every_number_of_a_command_is_bounded_and_checked(name):
    module = importlib.import_module(name)
    own = [kind for kind in vars(module).values() if is_dataclass(kind)]
    here = [kind for kind in own if kind.__module__ == module.__name__]
    assert {text for kind in here for text in _unbounded(kind)} == set()
    text = FILES[name].read_text()
    assert "tyro.cli" not in text and "tyro.extras" not in text  # bev.options parses and checks


def _unbounded(kind) -> set[str]:
    found, hints = set(), get_type_hints(kind, include_extras=True)
    for f in fields(kind):
        hint, text = hints[f.name], str(hints[f.name])
        inside = [one for one in (hint, *get_args(hint)) if isinstance(one, type)]
        part = next((one for one in inside if is_dataclass(one)), None)
        if part is not None:
            found |= set() if part is Experiment else _unbounded(part)
        elif re.search(r"\b(int|float)\b", text) and "Bound(" not in text:
            found.add(f"{kind.__name__}.{f.name}")
    return found


def test_a_perturbation_is_checked_when_it_is_created():
    with pytest.raises(ConfigError, match=r"^Perturbation.extrinsic_noise is \(nan, 0.0\); set it"):
        Perturbation(extrinsic_noise=(math.nan, 0.0))
    with pytest.raises(ConfigError, match=r"^Perturbation.noise_seed is -1; set it to at least 0"):
        Perturbation(noise_seed=-1)
