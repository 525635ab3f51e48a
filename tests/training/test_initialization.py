"""Starting from trained weights, and exporting a run for other PyTorch programs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from opened import opened

from bev.config import load_file
from bev.data.adjacent import AdjacentConfig
from bev.errors import ConfigError, WeightsError
from bev.models import DualViewTransformConfig, FpnConfig, TemporalConfig
from bev.models.weights.adaptation import load_adapted
from bev.serialization import from_plain, to_plain
from bev.training.checkpoint.loading import export_weights, load_checkpoint, read_checkpoint
from bev.training.initialization import ACCOUNT, starting_model
from bev.training.run import train
from bev.training.settings import InitConfig, TrainConfig


@pytest.fixture(scope="module")
def short(quick):
    """One step with one camera, validated only at the end."""
    settings = replace(quick.train, epochs=1, max_steps=1, pictures=0)
    return replace(quick, data=replace(quick.data, cameras=("CAM_FRONT",)), train=settings)


@pytest.fixture(scope="module")
def last(short) -> Path:
    """Checkpoint of a run of one step."""
    folder, _ = train(replace(short, train=replace(short.train, run_name="first")))
    return folder / "checkpoints" / "last.ckpt"


def start(config, resumed=False):
    """Initial model of a run of this config, and the reports of its loaded weights."""
    return starting_model(config.model, config.train.init, config.data.image_size, resumed)


def starting(config, last, **choice):
    return replace(config, train=replace(config.train, init=InitConfig(last, **choice)))


def test_all_weights_of_a_run_are_loaded(short, last):
    model, (report,) = start(starting(short, last))
    state = read_checkpoint(last)["state_dict"]
    assert len(report.matched) == len(state) == len(model.state_dict())
    assert not (report.missing or report.mismatched or report.unused or report.skipped)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state["model." + name]), name
    assert report.notes == ("prefix 'model.' removed from names",)
    for part, module in model.named_children():
        if count := len(module.state_dict()):
            assert f"  {part}: {count} of {count} tensors" in report.lines()


def test_parts_and_shapes_decide_which_weights_are_loaded(short, last):
    """With another neck, layers of its width are new; the rest is loaded but for the head."""
    other = replace(short, model=replace(short.model, neck=FpnConfig(24)))
    model, (report,) = start(starting(other, last, skip=("head",)))
    misfits = {name for name, _, _ in report.mismatched}
    assert misfits and all(name.split(".")[0] in ("neck", "view", "image_head") for name in misfits)
    assert {m.file_shape[0] for m in report.mismatched if m.name == "neck.output.bias"} == {16}
    assert all(name.startswith("head.") for name in report.skipped) and report.skipped
    loaded = {name.split(".")[0] for name in report.matched}
    assert {"backbone", "encoder"} <= loaded and "head" not in loaded
    whole = len(report.matched) + len(misfits) + len(report.skipped)
    assert whole == len(model.state_dict()) and not report.missing
    _, (report,) = start(starting(short, last, only=("backbone", "encoder.stages.0")))
    assert {name.split(".")[0] for name in report.matched} == {"backbone", "encoder"}
    assert not any(name.startswith("encoder.stages.1") for name in report.matched)


def test_shared_classes_keep_their_rows(short, last):
    groups = (("pedestrian",), ("bus", "car"))
    other = replace(short, model=replace(short.model, head=replace(short.model.head, tasks=groups)))
    model, (report,) = start(starting(other, last))
    assert any("heatmap rows loaded for pedestrian" in note for note in report.notes)
    before = short.model.head.resolved_tasks(short.model.labels)
    there = next(n for n, group in enumerate(before) if "pedestrian" in group)
    row = before[there].index("pedestrian")
    state = read_checkpoint(last)["state_dict"]
    own = model.head.tasks[0]["heatmap"][-1].weight[0]
    assert torch.equal(own, state[f"model.head.tasks.{there}.heatmap.0.weight"][row])
    assert not report.mismatched


def test_headings_with_other_direction_bins_are_not_loaded(short, last):
    """Their tensors may have the same shapes but other meanings."""
    head = replace(short.model.head, direction_bins=4)
    model, (report,) = start(starting(replace(short, model=replace(short.model, head=head)), last))
    assert any(
        "heading not loaded: the model has 4 direction bins and the file 1" in note
        for note in report.notes
    )
    state = read_checkpoint(last)["state_dict"]
    for name, taken in (("heading", False), ("size", True)):
        there = state[f"model.head.tasks.0.{name}.0.weight"]
        assert torch.equal(model.head.tasks[0][name][0].weight, there) == taken
    assert {name.split(".")[3] for name in report.missing} == {"heading", "direction"}


def with_times(config, frames, times=True):
    """The config with adjacent frames, and with an encoder skip that also reads them."""
    model, data = config.model, config.data
    encoder = replace(model.encoder, skip=True)
    model = replace(model, temporal=TemporalConfig(frames, times=times), encoder=encoder)
    return replace(config, model=model, data=replace(data, adjacent=AdjacentConfig(frames)))


def load_from_run(there, here, path, **choice):
    """A trained model, the model that starts from it, and the report of the loaded weights."""
    torch.manual_seed(0)
    trained = there.model.build().eval()
    torch.save({"state_dict": trained.state_dict(), "config": to_plain(there)}, path)
    model, (report,) = start(starting(here, path, **choice))
    return trained, model.eval(), report


def joined(config, width):
    """Encoder inputs: the same features and times, for the adjacent frames of the config."""
    maps = torch.randn(1, 3 * width, 16, 16, generator=torch.Generator().manual_seed(1))
    planes = torch.tensor([-0.5, -1.0])[None, :, None, None].expand(1, 2, 16, 16)
    temporal = config.model.temporal
    parts = [maps[:, : (temporal.num_adjacent + 1) * width], planes[:, : temporal.num_adjacent]]
    return torch.cat(parts if temporal.times else parts[:1], dim=1)


@pytest.mark.parametrize(("frames", "more"), [(0, 1), (1, 2)])
def test_more_adjacent_frames_start_with_the_trained_outputs(short, tmp_path, frames, more):
    """The new frames have no effect at first."""
    there, here = with_times(short, frames), with_times(short, more)
    trained, model, report = load_from_run(there, here, tmp_path / "trained.ckpt")
    assert not report.mismatched and not report.missing
    assert report.notes == (
        f"encoder.*: the model joins {more} adjacent frames and the file {frames} adjacent frames;"
        " new inputs are zero at first",
    )
    width = trained.view.channels
    with torch.no_grad():
        first = trained.encoder(joined(there, width))
        second = model.encoder(joined(here, width))
    torch.testing.assert_close(first, second)


def test_fewer_adjacent_frames_keep_the_weights_of_the_remaining_inputs(short, tmp_path):
    """The weights of the times, after the features of the second adjacent frame, are not loaded."""
    there, here = with_times(short, 2), with_times(short, 1, times=False)
    trained, model, report = load_from_run(there, here, tmp_path / "trained.ckpt")
    assert not report.mismatched and "without their times and the file" in report.notes[0]
    width, before, after = trained.view.channels, trained.state_dict(), model.state_dict()
    first = [name for name in before if name.startswith("encoder.stages.0.0.")]
    assert sum(before[name].shape != after[name].shape for name in first) == 2
    for name in first:
        kept = before[name][:, : 2 * width] if before[name].shape != after[name].shape else None
        assert torch.equal(before[name] if kept is None else kept, after[name])
    name, neck = "encoder.output.0.0.weight", short.model.encoder.neck
    assert torch.equal(before[name][:, : neck + 2 * width], after[name])


def test_adjacent_frames_are_not_reported_if_their_weights_are_not_loaded(short, tmp_path):
    there, here = with_times(short, 0), with_times(short, 1)
    _, _, report = load_from_run(there, here, tmp_path / "trained.ckpt", only=("encoder.join",))
    assert report.matched and not report.notes


def test_any_view_transform_loads_its_own_weights(short, tmp_path):
    view = DualViewTransformConfig(lift=short.model.view)
    refined = replace(short, model=replace(short.model, view=view))
    _, _, report = load_from_run(refined, refined, tmp_path / "refined.ckpt")
    assert not report.mismatched and not report.missing and not report.notes


def test_a_backbone_missing_from_the_file_loads_its_own_weights(short, last, tmp_path):
    """A backbone in the file is loaded from there: none.pth does not exist and is not read."""
    state = read_checkpoint(last)["state_dict"]
    head = {name: value for name, value in state.items() if name.startswith("model.head")}
    torch.save(head, tmp_path / "head.pth")
    body = {n: v for n, v in state.items() if n.startswith("model.backbone")}
    torch.save(body, tmp_path / "body.pth")

    def with_weights(name):
        backbone = replace(short.model.backbone, weights=tmp_path / name)
        return replace(short, model=replace(short.model, backbone=backbone))

    model, (first, second) = start(starting(with_weights("body.pth"), tmp_path / "head.pth"))
    assert {name.split(".")[0] for name in first.matched} == {"head"}
    assert len(second.matched) == len(body) and second.matched[0].startswith("backbone.body.")
    name = second.matched[0]
    assert torch.equal(model.state_dict()[name], state["model." + name])
    start(starting(with_weights("none.pth"), last))
    start(with_weights("none.pth"), resumed=True)
    with pytest.raises(WeightsError, match=r"none.pth does not exist"):
        start(with_weights("none.pth"))


@pytest.mark.long
def test_a_run_starts_from_the_weights_and_writes_their_report(short, last, capsys):
    """With a rate of 0 the final weights equal the loaded ones; a resumed run loads none."""
    model = replace(short.model, neck=FpnConfig(16))
    config = replace(short, model=model, train=replace(short.train, lr=0.0, run_name="second"))
    folder, _ = train(starting(config, last, skip=("head",)))
    first, second = (read_checkpoint(path)["state_dict"] for path in
                     (last, folder / "checkpoints" / "last.ckpt"))  # fmt: skip
    weights = [n for n in first if n.startswith("model.encoder") and n.endswith("0.weight")]
    assert weights and all(torch.equal(first[name], second[name]) for name in weights)
    assert not torch.equal(*(s["model.head.shared.0.weight"] for s in (first, second)))
    report = (folder / ACCOUNT).read_text()
    assert report in capsys.readouterr().out and "skipped on request" in report
    longer = replace(config, train=replace(config.train, max_steps=2))
    gone = starting(longer, folder / "gone.ckpt")
    train(gone, resume=folder / "checkpoints" / "last.ckpt")
    assert (folder / ACCOUNT).read_text() == report
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 2


def test_init_settings_are_saved_and_read(tmp_path):
    config = TrainConfig(init=InitConfig(Path("a.ckpt"), ("backbone",), ("view.depth_net",)))
    assert from_plain(TrainConfig, to_plain(config)) == config


def test_an_unknown_part_is_refused(short, last):
    model = short.model.build()
    with pytest.raises(WeightsError, match="no part 'heads'.*backbone, neck"):
        load_adapted(model, last, skip=("heads",))


def test_an_image_size_that_the_backbone_refuses_is_found_before_training(short):
    backbone = replace(short.model.backbone, name="inception_v3", channels=(), stem=0,
                       strides=(16, 32))  # fmt: skip
    small = replace(short, model=replace(short.model, backbone=backbone),
                    data=replace(short.data, image_size=(64, 176)))  # fmt: skip
    with pytest.raises(ConfigError, match=r"inception_v3 does not take images of 64x176"):
        start(small)


PLAIN = """
import sys
from pathlib import Path
import torch
from bev.training.checkpoint.loading import load_checkpoint
config, model = load_checkpoint(Path(sys.argv[1]))
batch = torch.load(sys.argv[2], weights_only=False)
boxes = model.detect(batch)
torch.save([vars(b) for b in boxes], sys.argv[3])
assert "lightning" not in sys.modules and "pytorch_lightning" not in sys.modules
"""


@pytest.mark.slow
def test_exported_safetensors_load_without_lightning(short, last, tmp_path):
    """Train, export, and load in a process without Lightning: the boxes are equal bit for bit."""
    from bev.data.dataset import KeyFrames

    path = tmp_path / "exported" / "model.safetensors"
    size = export_weights(last, path)
    assert size == path.stat().st_size < last.stat().st_size / 2  # no optimiser, one set of weights
    config, model = load_checkpoint(last)
    usual = replace(config.train, runs=Path("runs"), run_name="", threads=0)
    assert load_checkpoint(path)[0] == replace(config, train=usual)
    frames = opened(config.data).frames("synthetic_val")[:1]
    batch = KeyFrames(frames, config.data, training=False)[0]
    torch.save(batch, tmp_path / "batch.pt")
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, path, tmp_path / "batch.pt", tmp_path / "boxes.pt"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = torch.load(tmp_path / "boxes.pt")
    (expected,) = model.detect(batch)
    assert len(expected) > 0
    for name, value in vars(expected).items():
        assert torch.equal(found[name], value), name
    # Another training can start from the file, which contains its classes.
    _, (report,) = start(starting(short, path))
    assert not (report.missing or report.mismatched or report.unused)
    with pytest.raises(WeightsError, match="must end in .safetensors"):
        export_weights(last, tmp_path / "model.pth")


def test_init_settings_have_flags():
    from bev.config import override

    config = load_file(Path(__file__).parents[2] / "configs" / "lss_synthetic.py")
    flags = ["--train.init.weights", "a.ckpt", "--train.init.skip", "head", "neck"]
    assert override(config, flags, "x").train.init == InitConfig(
        Path("a.ckpt"), (), ("head", "neck")
    )
