"""The search for layers that INT8 leaves in float, and parts of graphs."""

import numpy as np
import pytest

from bev.lab.deploy.formats import with_outputs
from bev.lab.deploy.int8 import damage_of, inner_convolutions, scores_of, sensitive_layers


def search(harm, tolerance):
    """Search with layers whose damages add up; returns the layers and the report."""
    told = []
    kept = sensitive_layers(
        list(harm), lambda some: sum(map(harm.get, some)), tolerance, told.append
    )
    return kept, told


def test_the_most_damaging_layers_stay_in_float_until_the_rest_is_within_the_tolerance():
    harm = {"a": 0.01, "b": 0.3, "c": 0.04, "d": 0.2, "e": 0.02}
    assert search(harm, 0.58)[0] == []
    assert search(harm, 0.3)[0] == ["b"]
    kept, told = search(harm, 0.1)
    assert kept == ["b", "d"]
    assert told[0] == "all 5 layers in INT8: scores change by 0.5700"
    assert told[-1] == "2 of them in float: 0.0700"
    assert search(harm, 0.05)[0] == ["b", "d", "c", "e"]  # 1, 2, 4


def test_a_tolerance_that_no_layer_meets_leaves_all_in_float():
    assert sorted(search({"a": 0.2, "b": 0.3, "c": 0.4}, 1e-3)[0]) == ["a", "b", "c"]


def test_damage_counts_cells_with_a_score_in_either_graph():
    want, got = np.array([0.5, 0.01, 0.01]), np.array([0.4, 0.01, 0.31])
    assert damage_of([want], [got]) == pytest.approx(np.sqrt((0.1**2 + 0.3**2) / 2))
    assert damage_of([want[1:2]], [want[1:2]]) == 0


def test_scores_are_of_heatmaps_and_segmentation():
    zeros = np.zeros((1, 2, 1, 1))
    outputs = {"task1_heatmap": zeros, "task0_heatmap": zeros + 30, "task0_size": zeros}
    assert scores_of(outputs).round(6).tolist() == [1, 1, 0.5, 0.5]
    outputs = {"segmentation": zeros + 0.2, "features": zeros}
    assert scores_of(outputs).tolist() == [0.2, 0.2]


def test_a_graph_with_fewer_outputs_has_the_nodes_that_they_need():
    """A loop reads a value of the graph around it; the nodes are put in order."""
    helper = pytest.importorskip("onnx").helper
    real, truth = 1, 9  # element types

    def value(name, kind=real, shape=(1,)):
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["going"]),
            helper.make_node("Add", ["state", "outer"], ["next"]),
        ],
        "body", [value("turn", 7, ()), value("on", truth, ()), value("state")],
        [value("going", truth, ()), value("next")],
    )  # fmt: skip
    nodes = [
        helper.make_node("Loop", ["count", "", "x"], ["sum"], body=body),
        helper.make_node("Neg", ["x"], ["other"]),
        helper.make_node("Relu", ["x"], ["outer"]),
    ]
    count = helper.make_tensor("count", 7, (), [2])
    outputs = [value("sum"), value("other")]
    graph = helper.make_graph(nodes, "graph", [value("x")], outputs, [count])
    model = helper.make_model(graph)
    found = with_outputs(model, ["sum"]).graph
    assert [node.op_type for node in found.node] == ["Relu", "Loop"]
    assert [one.name for one in found.initializer] == ["count"]
    found = with_outputs(model, ["other"]).graph
    assert [node.op_type for node in found.node] == ["Neg"] and not found.initializer
    assert len(model.graph.output) == 2


def test_the_last_convolutions_and_those_of_constants_stay_in_float():
    helper = pytest.importorskip("onnx").helper
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("Conv", ["rays", "w"], ["b"], name="constant"),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Conv", ["c", "w"], ["d"], name="second"),
        helper.make_node("Conv", ["d", "w"], ["e"], name="last"),
        helper.make_node("Split", ["e"], ["task0_heatmap", "task0_size"]),
    ]
    rays = helper.make_tensor("rays", 1, (1,), [0.0])
    graph = helper.make_graph(nodes, "graph", [], [], [rays])
    assert inner_convolutions(graph, ["task0_heatmap", "task0_size"]) == ["first", "second"]
