"""Conversion rules: every tensor is used exactly once, and each kind of fault is reported."""

import pytest
import torch
from published_tables import EXTRA, TABLES, random_weights

from bev.errors import CheckpointError, ConfigError
from bev.lab.convert.published import FAMILIES, Conversion, convert, read_published
from bev.lab.convert.rename import published_shapes


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rules_use_exactly_the_published_names_and_shapes(family, configs):
    made_of = FAMILIES[family].sources(configs[family])
    assert published_shapes(made_of) == TABLES[family]
    restated = FAMILIES[family].restated(configs[family])
    published = EXTRA.get(family, dict)()
    assert set(restated) == set(published)
    for name, value in published.items():
        torch.testing.assert_close(restated[name], value.float(), atol=1e-4, rtol=1e-5)


def empty(family):
    """An uninitialised state dict of the family's names and shapes."""
    table = {name: torch.empty(shape) for name, shape in TABLES[family].items()}
    return table | EXTRA.get(family, dict)()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_recognised_by_names_and_shapes(family, configs, monkeypatch):
    monkeypatch.setattr("bev.lab.convert.published.converted", lambda made_of, found: {})
    conversion = convert(empty(family), configs)
    assert isinstance(conversion, Conversion) and conversion.family == family
    assert conversion.used == len(TABLES[family])
    assert set(conversion.unused) == set(EXTRA.get(family, dict)())


def test_each_fault_is_named_and_nothing_is_converted(configs):
    family = "bevdet-first"
    found = empty(family)
    del found["img_neck.fpn_convs.0.conv.bias"]
    found["pts_bbox_head.task_heads.0.iou.1.bias"] = torch.zeros(1)
    found["img_backbone.conv1.weight"] = torch.zeros(64, 4, 7, 7)
    found["img_view_transformer.dx"] = torch.tensor([0.4, 0.8, 20.0])
    for chosen in ("", family):
        with pytest.raises(CheckpointError) as error:
            convert(found, configs, chosen)
        message = str(error.value)
        assert "bevdet-first" in message
        assert "1 missing (img_neck.fpn_convs.0.conv.bias)" in message
        assert "1 unexpected (pts_bbox_head.task_heads.0.iou.1.bias)" in message
        assert "1 of another shape (img_backbone.conv1.weight)" in message
        assert "1 with other values than the config (img_view_transformer.dx)" in message


def test_another_architecture_names_the_nearest_family(configs):
    found = empty("bevdet-dev2.1") | {"pre_process_net.layers.0.0.conv1.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="nearest is bevdet-dev2.1: 1 unexpected"):
        convert(found, configs)


def test_a_wrong_family_name_is_refused(configs):
    with pytest.raises(CheckpointError, match="does not match bevdet-dev2.0: .* of another shape"):
        convert(empty("bevdet-dev2.1"), configs, "bevdet-dev2.0")
    with pytest.raises(ConfigError, match="'bevdet' is none of bevdet-first, bevdet-dev2.0"):
        convert({}, configs, "bevdet")


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_files_of_mmcv_and_lightning_are_read_without_running_code(prefix, tmp_path):
    weights = {f"{prefix}a.weight": torch.ones(2), f"{prefix}b.bias": torch.zeros(1)}
    torch.save({"meta": {"epoch": 20, "config": "text"}, "state_dict": weights}, tmp_path / "a.pth")
    torch.save(weights, tmp_path / "bare.pth")
    for name in ("a.pth", "bare.pth"):
        assert set(read_published(tmp_path / name)) == {"a.weight", "b.bias"}


class Code:
    """A class in a hostile file."""


def test_files_without_plain_tensors_are_refused(tmp_path):
    torch.save({"state_dict": {}, "meta": Code()}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="code.pth cannot be read: it holds"):
        read_published(tmp_path / "code.pth")
    torch.save({"state_dict": {}}, tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="none.pth holds no named tensors"):
        read_published(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="gone.pth does not exist"):
        read_published(tmp_path / "gone.pth")


def test_random_weights_have_the_published_names():
    state = random_weights("bevdet-dev2.1")
    assert {name: tuple(value.shape) for name, value in state.items()} == TABLES["bevdet-dev2.1"]
