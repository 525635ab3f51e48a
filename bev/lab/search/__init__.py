"""Search for good settings: trials of a base experiment, chosen and pruned by Optuna."""

from bev.lab.search.definition import Pruning, Search
from bev.lab.search.parameters import Choice, Float, Int, Variants, When

__all__ = ["Choice", "Float", "Int", "Pruning", "Search", "Variants", "When"]
