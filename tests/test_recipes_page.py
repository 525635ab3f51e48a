"""The page on recipes shows the fields of today's configs."""

import os
from pathlib import Path

import pytest
from published_recipes import RECIPES
from recipes_page import page, rows

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_field_is_published_or_ours_alone_and_every_difference_has_a_reason(recipe):
    found = list(rows(recipe))
    assert len({row[0] for row in found}) == len(found)


def test_the_page_shows_the_configs_of_today():
    """``BEV_WRITE=1 pytest tests/test_recipes_page.py`` writes the page."""
    if os.environ.get("BEV_WRITE"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()
