"""Library classes as config values: comparison, saving, and parsing that runs no code."""

import functools
import os
import pickle
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from bev.calls import Call
from bev.data.augmentation import TransformCall
from bev.errors import ConfigError
from bev.training.settings import OptimizerCall, ScheduleCall


class Mine(torch.optim.SGD):
    """A custom optimiser."""


def test_a_class_a_partial_and_a_call_are_equal():
    plain = OptimizerCall.of(torch.optim.SGD, "x")
    assert plain == OptimizerCall.of(partial(torch.optim.SGD), "x") == OptimizerCall.of(plain, "x")
    ordered = [partial(torch.optim.SGD, momentum=0.9, nesterov=True),
               partial(partial(torch.optim.SGD, nesterov=True), momentum=0.9)]  # fmt: skip
    first, second = (OptimizerCall.of(value, "x") for value in ordered)
    assert first == second != plain and hash(first) == hash(second)
    assert str(first) == "torch.optim.SGD(momentum=0.9, nesterov=True)"
    assert first != OptimizerCall.of(partial(torch.optim.SGD, momentum=0.9, nesterov=1), "x")
    assert pickle.loads(pickle.dumps(first)) == first


def test_a_call_builds_what_its_partial_builds():
    weight = torch.nn.Parameter(torch.ones(1))
    value = partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    ours, theirs = (
        OptimizerCall.of(value, "x").build([weight], fill=with_rate),
        value([weight], lr=2),
    )
    assert type(ours) is torch.optim.SGD and ours.defaults == theirs.defaults
    with pytest.raises(ConfigError, match=r"SGD\(momentum=-1\) cannot be created: .*momentum"):
        OptimizerCall(torch.optim.SGD, momentum=-1).build([weight])


def with_rate(target, given):
    return {**given, "lr": 2}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.sampled_from(["p", "fill", "from_"]), inner, max_size=2).map(
        lambda given: TransformCall(v2.GaussianBlur, *given.values(), **given)
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=30)
@given(st.lists(plain, max_size=2), st.dictionaries(st.sampled_from(["a", "b"]), plain, max_size=2))
def test_the_text_of_a_call_parses_back(args, kwargs):
    call = TransformCall(v2.Compose, *args, **kwargs)
    again = TransformCall.parse(str(call))
    assert again == call and (again.args, again.kwargs) == (call.args, call.kwargs)
    assert again.target is v2.Compose


def test_short_names_and_custom_names():
    assert OptimizerCall.parse("AdamW").target is torch.optim.AdamW
    assert OptimizerCall.parse("AdamW()") == OptimizerCall.parse("torch.optim.AdamW")
    own = OptimizerCall(Mine, momentum=0.5)
    assert str(own) == "Mine(momentum=0.5)"
    assert OptimizerCall.parse(str(own)).target is Mine
    assert OptimizerCall.parse("Mine").target is Mine
    nested = TransformCall.of(
        partial(v2.Compose, [v2.Grayscale, partial(v2.ColorJitter, 0.4)]), "x"
    )
    assert str(nested) == (
        "torchvision.transforms.v2.Compose((torchvision.transforms.v2.Grayscale,"
        " torchvision.transforms.v2.ColorJitter(0.4)))"
    )
    assert [part.target for part in nested.walk()] == [v2.Compose, v2.ColorJitter, v2.Grayscale]


HOSTILE = [
    "os.system('touch HERE')",
    "builtins.eval('1')",
    "__import__('os').system('touch HERE')",
    "torch.optim.SGD.__init__",
    "torch.optim.SGD.__subclasses__()",
    "torch.optim.SGD(momentum=__import__('os').system('touch HERE'))",
    "torch.optim.SGD(momentum=(lambda: 1)())",
    "torch.optim.SGD(**{'momentum': 1})",
    "torch.optim.SGD(*[1])",
    "torch.optim.SGD(momentum=[x for x in ()])",
    "torch.optim.SGD(momentum=f'{1}')",
    "torch.optim.SGD(momentum=torch.optim)",
    "torch.optim.SGD(momentum=os.system)",
    "torch.optim.SGD(momentum=b'1')",
    "torch.optim.SGD(momentum=1e999)",
    "torch.optim.SGD(momentum=...)",
    "torch.optim.SGD(momentum={'a': 1})",
    "torch.optim.SGD(momentum=1, momentum=2)",
    "torch.optim.Optimizer",  # base class of the family
    "torch.optim.lr_scheduler.CosineAnnealingLR",  # another family
    "torchvision.transforms.v2.Lambda",
    "bev.training.run.train",
    "this.is.imported.by.nobody",
    "(SGD)(1)(2)",
    "1 + 1",
    "SGD; AdamW",
    "SGD(",
    "",
    "(" * 300,
    "SGD(" + "[" * 150 + "]" * 150 + ")",
    "x" * 5000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused_and_runs_nothing(text, tmp_path, monkeypatch):
    for module, name in [(os, "system"), (os, "popen")]:
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("code ran"))
    before = functools.reduce(lambda known, kind: known | kind.known(), KINDS, {})
    try:
        call = OptimizerCall.parse(text.replace("HERE", str(tmp_path / "here")), "train.optimizer")
    except ConfigError as error:
        assert str(error).startswith("train.optimizer: ") and len(str(error)) < 400
    else:  # deep lists are valid plain data
        assert isinstance(call.args[0], tuple)
    assert not list(tmp_path.iterdir())
    assert functools.reduce(lambda known, kind: known | kind.known(), KINDS, {}) == before


KINDS: list[type[Call]] = [OptimizerCall, ScheduleCall, TransformCall]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.optim.lr_scheduler.StepLR, "not an optimiser of torch"),
        (print, "not an optimiser of torch"),
        ("AdamW", "not an optimiser of torch"),
        (partial(os.system, "ls"), "not an optimiser of torch"),
        (partial(torch.optim.SGD, momentum=torch.tensor(0.9)), "cannot be saved"),
        (partial(torch.optim.SGD, momentum=float("nan")), "cannot be saved"),
        (partial(torch.optim.SGD, momentum=print), "cannot be saved"),
        (torch.optim.SGD([torch.nn.Parameter(torch.ones(1))]), r"give the class .*partial\(SGD"),
        (
            type("Local", (torch.optim.SGD,), {"__qualname__": "f.<locals>.Local"}),
            "top level of a module",
        ),
    ],
)
def test_values_that_cannot_be_saved_are_refused(value, message):
    with pytest.raises(ConfigError, match=rf"^train.optimizer: .*{message}"):
        OptimizerCall.of(value, "train.optimizer")
