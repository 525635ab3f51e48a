"""RoboBEV's summary figures: published rows are reproduced."""

import pytest

from bev.data.images.corruptions.corruption import KINDS, Corruption
from bev.lab.robustness.robobev import (
    BASELINE,
    SEVERITIES,
    corruption_error,
    mean_corruption_error,
    mean_resilience_rate,
    resilience_rate,
)

# Published rows: clean NDS, mean NDS of each corruption in the order of KINDS, mCE and mRR in %.
PUBLISHED = {
    "DETR3D": (0.4224, list(BASELINE.values()), 100.00, 70.77),
    "BEVDet-R50": (
        0.3770, [0.2486, 0.1924, 0.2408, 0.2061, 0.2565, 0.1102, 0.2461, 0.0625], 115.12, 51.83
    ),
    "BEVDepth-R50": (
        0.4058, [0.2638, 0.2141, 0.2751, 0.2513, 0.2879, 0.1757, 0.2903, 0.0863], 110.02, 56.82
    ),
    "SOLOFusion": (
        0.5381, [0.3806, 0.3464, 0.4058, 0.3642, 0.4329, 0.2626, 0.4480, 0.1376], 92.86, 64.53
    ),
}  # fmt: skip


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_figures_are_reproduced(model):
    clean, means, mce, mrr = PUBLISHED[model]
    # Levels whose mean is the published one: the figures depend on it alone.
    levels = {k: (m + 0.05, m + 0.01, m - 0.06) for k, m in zip(KINDS, means, strict=True)}
    assert 100 * mean_corruption_error(levels) == pytest.approx(mce, abs=0.006)
    assert 100 * mean_resilience_rate(levels, clean) == pytest.approx(mrr, abs=0.006)


def test_a_worked_case():
    # Errors 0.7, 0.8 and 0.9 over three times DETR3D's 0.8087; NDS 0.6 over three times 0.4.
    assert corruption_error("Snow", (0.3, 0.2, 0.1)) == pytest.approx(2.4 / 2.4261)
    assert resilience_rate((0.3, 0.2, 0.1), 0.4) == pytest.approx(0.5)


def test_every_level_is_a_severity_that_the_corruption_has():
    assert list(SEVERITIES) == list(BASELINE) == list(KINDS)
    for kind, levels in SEVERITIES.items():
        assert [Corruption(kind, severity).severity for severity in levels] == sorted(levels)
