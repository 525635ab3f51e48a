"""The official nuScenes metrics and what stands beside them: submission, tables and a page."""

from bev.evaluation.depth import DepthErrors, depth_errors
from bev.evaluation.official import (
    Metrics,
    evaluate_submission,
    read_details,
    read_metrics,
)
from bev.evaluation.page import write_page
from bev.evaluation.report import draw_pr_curves, metrics_table
from bev.evaluation.result import Measures, Result, conclude, measure
from bev.evaluation.segmentation import Overlaps
from bev.evaluation.submission import (
    attribute_of,
    read_submission,
    submission_rows,
    truth_submission,
    write_submission,
)

__all__ = [
    "DepthErrors",
    "Measures",
    "Metrics",
    "Overlaps",
    "Result",
    "attribute_of",
    "conclude",
    "depth_errors",
    "draw_pr_curves",
    "evaluate_submission",
    "measure",
    "metrics_table",
    "read_details",
    "read_metrics",
    "read_submission",
    "submission_rows",
    "truth_submission",
    "write_page",
    "write_submission",
]
