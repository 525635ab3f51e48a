"""Tools around the core: synthetic data, ablations, benchmarks, conversion, analysis.

Only ``bev.lab`` itself and ``bev.cli`` import from this package.
"""
