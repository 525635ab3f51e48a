"""Parts of a model by prefixes of names, word by word."""

import pytest

from bev.models.weights.parts import unknown_part, within, within_any

NAMES = ["backbone.body.layer1.0.weight", "backbone.body.layer2.0.weight", "head.0.weight"]


@pytest.mark.parametrize(
    ("part", "holds"),
    [("backbone", [0, 1]), ("backbone.body.layer1", [0]), ("backbone.body.layer", []),
     ("backbone.body.layer*", [0, 1]), ("*", [0, 1, 2]), ("", [0, 1, 2]), ("head.", [2]),
     ("*.*.*.0", [0, 1]), ("head.0.weight", [2]), ("head.0.weight.x", []), ("*head", [2])],
)  # fmt: skip
def test_prefixes_are_matched_word_by_word(part, holds):
    assert [number for number, name in enumerate(NAMES) if within(name, part)] == holds
    assert within_any(NAMES[2], ["neck", part]) is (2 in holds)


def test_an_unknown_part_is_named_with_similar_ones():
    assert unknown_part(NAMES, ["head", "*.body"]) == ""
    message = unknown_part(NAMES, ["head", "backbone.body.layr1"])
    assert "no part 'backbone.body.layr1', but backbone.body.layer1" in message
    assert message.endswith("it has: backbone, head.")
    assert "no norm 'x'; it has: none" in unknown_part([], ["x"], "norm")
