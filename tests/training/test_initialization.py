"""Starting from trained weights, and the way out: a run becomes a file for any PyTorch program."""

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
    """One step, nothing measured but at the end, one camera."""
    settings = replace(quick.train, epochs=1, max_steps=1, pictures=0)
    return replace(quick, data=replace(quick.data, cameras=("CAM_FRONT",)), train=settings)


@pytest.fixture(scope="module")
def last(short) -> Path:
    """A checkpoint of one step."""
    folder, _ = train(replace(short, train=replace(short.train, run_name="first")))
    return folder / "checkpoints" / "last.ckpt"


def start(config, resumed=False):
    """The model that a run of this config begins with, and the account of its weights."""
    return starting_model(config.model, config.train.init, config.data.image_size, resumed)


def starting(config, last, **choice):
    return replace(config, train=replace(config.train, init=InitConfig(last, **choice)))


def test_all_of_a_run_is_taken_over(short, last):
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


def test_parts_and_shapes_decide(short, last):
    """Another neck: what depends on its width starts anew; the rest is taken, but for the head."""
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


def test_other_classes_take_the_rows_that_they_share(short, last):
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


def test_headings_predicted_by_other_direction_bins_start_anew(short, last):
    """Their tensors have the shapes of those of another meaning."""
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
    """The config with as many adjacent frames, and a skip, which reads them too."""
    model, data = config.model, config.data
    encoder = replace(model.encoder, skip=True)
    model = replace(model, temporal=TemporalConfig(frames, times=times), encoder=encoder)
    return replace(config, model=model, data=replace(data, adjacent=AdjacentConfig(frames)))


def taken_over(there, here, path, **choice):
    """The model that was trained, the one that starts from it, and the account of its start."""
    torch.manual_seed(0)
    trained = there.model.build().eval()
    torch.save({"state_dict": trained.state_dict(), "config": to_plain(there)}, path)
    model, (report,) = start(starting(here, path, **choice))
    return trained, model.eval(), report


def joined(config, width):
    """What the encoder reads: the same features and times, as many as the config joins."""
    maps = torch.randn(1, 3 * width, 16, 16, generator=torch.Generator().manual_seed(1))
    planes = torch.tensor([-0.5, -1.0])[None, :, None, None].expand(1, 2, 16, 16)
    temporal = config.model.temporal
    parts = [maps[:, : (temporal.num_adjacent + 1) * width], planes[:, : temporal.num_adjacent]]
    return torch.cat(parts if temporal.times else parts[:1], dim=1)


@pytest.mark.parametrize(("frames", "more"), [(0, 1), (1, 2)])
def test_a_network_of_more_frames_begins_as_the_one_that_was_trained(short, tmp_path, frames, more):
    """Whatever the frames show that it was not trained on."""
    there, here = with_times(short, frames), with_times(short, more)
    trained, model, report = taken_over(there, here, tmp_path / "trained.ckpt")
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


def test_of_fewer_frames_the_inputs_that_are_left_keep_their_weights(short, tmp_path):
    """The first frame's features, and not the times, which stand behind those of the second."""
    there, here = with_times(short, 2), with_times(short, 1, times=False)
    trained, model, report = taken_over(there, here, tmp_path / "trained.ckpt")
    assert not report.mismatched and "without their times and the file" in report.notes[0]
    width, before, after = trained.view.channels, trained.state_dict(), model.state_dict()
    first = [name for name in before if name.startswith("encoder.stages.0.0.")]
    assert sum(before[name].shape != after[name].shape for name in first) == 2
    for name in first:
        kept = before[name][:, : 2 * width] if before[name].shape != after[name].shape else None
        assert torch.equal(before[name] if kept is None else kept, after[name])
    name, neck = "encoder.output.0.0.weight", short.model.encoder.neck
    assert torch.equal(before[name][:, : neck + 2 * width], after[name])


def test_frames_are_not_told_of_where_what_reads_them_is_not_loaded(short, tmp_path):
    there, here = with_times(short, 0), with_times(short, 1)
    _, _, report = taken_over(there, here, tmp_path / "trained.ckpt", only=("encoder.join",))
    assert report.matched and not report.notes


def test_any_view_transform_starts_from_a_run_of_its_own(short, tmp_path):
    view = DualViewTransformConfig(lift=short.model.view)
    refined = replace(short, model=replace(short.model, view=view))
    _, _, report = taken_over(refined, refined, tmp_path / "refined.ckpt")
    assert not report.mismatched and not report.missing and not report.notes


def test_a_backbone_that_the_file_lacks_gets_its_own_weights(short, last, tmp_path):
    """And one that the file has is not fetched: there is no such file to read."""
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


def test_a_run_begins_with_the_weights_and_writes_what_became_of_them(short, last, capsys):
    """At rate 0 the weights at the end are those that it began with; a resumed run reads none."""
    model = replace(short.model, neck=FpnConfig(16))
    config = replace(short, model=model, train=replace(short.train, lr=0.0, run_name="second"))
    folder, _ = train(starting(config, last, skip=("head",)))
    first, second = (read_checkpoint(path)["state_dict"] for path in
                     (last, folder / "checkpoints" / "last.ckpt"))  # fmt: skip
    weights = [n for n in first if n.startswith("model.encoder") and n.endswith("0.weight")]
    assert weights and all(torch.equal(first[name], second[name]) for name in weights)
    assert not torch.equal(*(s["model.head.shared.0.weight"] for s in (first, second)))
    account = (folder / ACCOUNT).read_text()
    assert account in capsys.readouterr().out and "skipped on request" in account
    longer = replace(config, train=replace(config.train, max_steps=2))
    gone = starting(longer, folder / "gone.ckpt")
    train(gone, resume=folder / "checkpoints" / "last.ckpt")
    assert (folder / ACCOUNT).read_text() == account
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 2


def test_settings_of_the_start_are_saved_and_read(tmp_path):
    config = TrainConfig(init=InitConfig(Path("a.ckpt"), ("backbone",), ("view.depth_net",)))
    assert from_plain(TrainConfig, to_plain(config)) == config


def test_a_part_that_is_none_is_refused(short, last):
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


def test_a_run_leaves_as_safetensors_for_a_plain_program(short, last, tmp_path):
    """Train, export, load where Lightning is not: the same boxes, to the bit."""
    from bev.data.dataset import KeyFrames

    path = tmp_path / "exported" / "model.safetensors"
    size = export_weights(last, path)
    assert size == path.stat().st_size < last.stat().st_size / 2  # no optimiser, one set of weights
    config, model = load_checkpoint(last)
    assert load_checkpoint(path)[0] == config
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
    # It is also what another training starts from, classes known.
    _, (report,) = start(starting(short, path))
    assert not (report.missing or report.mismatched or report.unused)
    with pytest.raises(WeightsError, match="must end in .safetensors"):
        export_weights(last, tmp_path / "model.pth")


def test_every_flag_of_the_start_is_there():
    from bev.config import override

    config = load_file(Path(__file__).parents[2] / "configs" / "lss_synthetic.py")
    flags = ["--train.init.weights", "a.ckpt", "--train.init.skip", "head", "neck"]
    assert override(config, flags, "x").train.init == InitConfig(
        Path("a.ckpt"), (), ("head", "neck")
    )
