"""The official nuScenes metrics: submission file, the devkit's evaluation, tables and a page."""

from bev.evaluation.depth import DepthErrors, depth_errors
from bev.evaluation.official import (
    Metrics,
    evaluate_submission,
    read_details,
    read_metrics,
)
from bev.evaluation.page import write_page
from bev.evaluation.report import draw_pr_curves, metrics_table
from bev.evaluation.submission import (
    attribute_of,
    read_submission,
    submission_rows,
    truth_submission,
    write_submission,
)

__all__ = [
    "DepthErrors",
    "Metrics",
    "attribute_of",
    "depth_errors",
    "draw_pr_curves",
    "evaluate_submission",
    "metrics_table",
    "read_details",
    "read_metrics",
    "read_submission",
    "submission_rows",
    "truth_submission",
    "write_page",
    "write_submission",
]
