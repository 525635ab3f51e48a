"""Settings of the graph of an exported detector."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bev.bounds import Count, Positive
from bev.errors import ConfigError

if TYPE_CHECKING:
    from bev.models import DetectorConfig

Form = Literal["scatter", "padded"]
Precision = Literal["float32", "fp16", "int8"]
Decode = Literal["auto", "boxes", "candidates", "maps"]


@dataclass(frozen=True)
class Int8Settings:
    """Settings of the quantisation to INT8.

    Attributes:
        frames: training frames on which the ranges of activations are measured.
        tolerance: greatest root mean square change of scores; layers that change them most are
            kept in float until it is met.
    """

    frames: Count = 64
    tolerance: Positive = 0.02


@dataclass(frozen=True)
class GraphSettings:
    """Choices of the graph of an exported detector.

    Attributes:
        calibration: "fixed" makes the calibration of one rig a part of the graph, "input" makes it
            an input, computed by the numpy function that is written beside the file.
        pooling: "scatter" adds with one ScatterElements; "padded" consists of operators that
            TensorRT's core has.
        decode: "boxes" decodes boxes and applies circle NMS in the graph, "candidates" leaves NMS
            outside, "maps" outputs the head's maps; "auto" is "boxes", or "candidates" for a model
            with rotated NMS.
        single_pass: leave out the flip test-time augmentation of the model.
    """

    calibration: Literal["fixed", "input"] = "fixed"
    pooling: Form = "scatter"
    decode: Decode = "auto"
    single_pass: bool = False

    def passes(self, model: "DetectorConfig") -> int:
        """Number of passes: 2 with flip test-time augmentation."""
        return 2 if model.flip_tta and not self.single_pass else 1

    def decoded(self, model: "DetectorConfig") -> Decode:
        """The decoding of a model's boxes: "boxes", "candidates" or "maps".

        Raises:
            ConfigError: if "boxes" is set for a model with rotated NMS.
        """
        from bev.models import CenterHeadConfig

        rotated = any(
            isinstance(head, CenterHeadConfig) and head.decode.nms == "rotated"
            for head in model.heads.values()
        )
        if self.decode == "boxes" and rotated:
            raise ConfigError(
                "--decode boxes applies circle NMS, and this model uses rotated NMS, which stays"
                " outside of the graph; set --decode candidates."
            )
        return self.decode if self.decode != "auto" else "candidates" if rotated else "boxes"
