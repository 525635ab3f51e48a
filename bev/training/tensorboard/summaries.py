"""Summaries in TensorBoard's format: pictures, histograms, precision-recall curves, settings."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.plugins.pr_curve import metadata as pr_curves
from tensorboard.util.tensor_util import make_tensor_proto
from torch import Tensor

BINS = 64  # of a histogram
THRESHOLDS = 101  # of a precision-recall curve: scores 0 to 1
_QUALITY = 90  # of JPEG


def picture(tag: str, image: UInt8[np.ndarray, "H W 3"]) -> Summary:
    """A picture, RGB, as JPEG: as PNG, those of a run would take gigabytes."""
    done, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise RuntimeError("OpenCV cannot write a JPEG.")
    height, width, _ = image.shape
    encoded = Summary.Image(
        height=height, width=width, colorspace=3, encoded_image_string=content.tobytes()
    )
    return Summary(value=[Summary.Value(tag=tag, image=encoded)])


@torch.no_grad()
def histogram(tag: str, values: Float[Tensor, "*shape"]) -> Summary:
    """Histogram of the finite values of a tensor, in bins of equal size between the extremes."""
    flat = values.detach().flatten().float()
    flat = flat[flat.isfinite()]
    if not flat.numel():
        return Summary()
    low, high = flat.amin(), flat.amax()
    step = (high - low) / BINS
    # torch.histc has no deterministic kernel on a GPU.
    place = ((flat - low) / step.clamp(min=torch.finfo(flat.dtype).tiny)).long().clamp(0, BINS - 1)
    counts = torch.bincount(place, minlength=BINS).double()
    sums = torch.stack([low, high, flat.sum(), flat.square().sum()]).double()
    least, most, total, squares, *counted = torch.cat([sums, counts]).tolist()
    edges = np.linspace(least, most, BINS + 1)[1:].tolist()
    if least == most:  # edges ascend
        edges, counted = [most], [sum(counted)]
    content = HistogramProto(
        min=least, max=most, num=flat.numel(), sum=total, sum_squares=squares,
        bucket_limit=edges, bucket=counted,
    )  # fmt: skip
    return Summary(value=[Summary.Value(tag=tag, histo=content)])


def pr_curve(tag: str, curve: Mapping[str, Sequence[float]], num_gt: int) -> Summary:
    """Precision-recall curve over score thresholds.

    There are no true negatives in detection; they are 0.

    Args:
        tag: tag of the curve.
        curve: curve as in ``read_details``: precision and confidence at recalls 0 to 1.
        num_gt: number of ground-truth boxes.
    """
    recall, precision, score = (np.array(curve[n]) for n in ("recall", "precision", "confidence"))
    found = np.zeros((6, THRESHOLDS))
    found[3] = num_gt  # above the highest score, all are missed
    for number, threshold in enumerate(np.linspace(0, 1, THRESHOLDS)):
        kept = np.flatnonzero((score >= threshold) & (score > 0))
        if not len(kept):
            continue
        at = kept[-1]  # the highest recall that scores from the threshold on reach
        true = recall[at] * num_gt
        false = true / precision[at] - true if precision[at] else 0.0
        found[:, number] = (
            round(true), round(false), 0, round(num_gt - true), precision[at], recall[at],
        )  # fmt: skip
    tensor = make_tensor_proto(found.astype(np.float32))
    about = pr_curves.create_summary_metadata(tag, "", THRESHOLDS)
    return Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=about)])


def session_start(settings: Mapping[str, Any]) -> Summary:
    """Hyperparameters of a run: numbers, truth values, and anything else as text."""
    info = SessionStartInfo(start_time_secs=time.time())
    for name, value in settings.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = "none" if value is None else str(value)
    return _session(hparams.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def session_end() -> Summary:
    """End of a run that is finished."""
    info = SessionEndInfo(status=Status.STATUS_SUCCESS, end_time_secs=time.time())
    return _session(hparams.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _session(tag: str, content: HParamsPluginData) -> Summary:
    about = hparams.create_summary_metadata(content)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=hparams.NULL_TENSOR)])
