"""mlx.utils: trees."""

from collections import namedtuple

import pytest
from mlx.utils import tree_flatten, tree_map, tree_map_with_path, tree_merge, tree_reduce, tree_unflatten

TREE = {"a": [1, (2, 3)], "b": {"c": None, "d": 4}, "e": [], "f": {}}


def test_map_keeps_the_kinds_of_lists_and_tuples():
    assert tree_map(lambda x: x, TREE) == TREE
    assert tree_map(lambda x, y: (x, y), {"a": [1, (2,)]}, {"a": [3, (4,)]}) == {"a": [(1, 3), ((2, 4),)]}
    pair = namedtuple("pair", "x y")
    assert tree_map(lambda x: x + 1, pair(1, 2)) == pair(2, 3)


def test_map_stops_at_leaves():
    assert tree_map(len, {"a": [1, 2], "b": "xyz"}, is_leaf=lambda x: isinstance(x, list)) == {"a": 2, "b": 3}


def test_map_needs_the_other_trees_to_reach_as_far():
    with pytest.raises(KeyError):
        tree_map(lambda a, b: a, {"a": 1, "b": 2}, {"a": 3})
    assert tree_map(lambda a, b: (a, b), {"a": 1}, {"a": {"more": 2}, "b": 3}) == {"a": (1, {"more": 2})}


def test_map_with_path():
    assert tree_map_with_path(lambda p, x: p, {"a": [1, {"b": 2}]}) == {"a": ["a.0", {"b": "a.1.b"}]}
    assert tree_map_with_path(lambda p, x: p, [1], path="root") == ["root.0"]
    assert tree_map_with_path(lambda p, x: p, 1) is None


def test_flatten():
    pairs = [("a.0", 1), ("a.1.0", 2), ("a.1.1", 3), ("b.c", None), ("b.d", 4)]
    assert tree_flatten(TREE) == pairs
    assert tree_flatten(TREE, destination={}) == dict(pairs)
    assert tree_flatten({"a": 1}, destination=[("z", 0)]) == [("z", 0), ("a", 1)]
    assert tree_flatten({"a": 1}, prefix=".p") == [("p.a", 1)]
    assert tree_flatten(5) == [("", 5)]
    assert tree_flatten([1, [2]], is_leaf=lambda x: x == [2]) == [("0", 1), ("1", [2])]
    with pytest.raises(ValueError, match="list or a dictionary"):
        tree_flatten({}, destination=())


@pytest.mark.parametrize(
    "pairs, tree",
    [
        ([], []),
        ([("", 5)], 5),
        ([("a.1", 5), ("a.0", 6)], {"a": [6, 5]}),
        ([("a.3", 5), ("a.0", 6)], {"a": [6, {}, {}, 5]}),
        ([("a.x", 5), ("a.0", 6)], {"a": {"x": 5, "0": 6}}),
        ({"a.b": 1}, {"a": {"b": 1}}),
    ],
)
def test_unflatten(pairs, tree):
    assert tree_unflatten(pairs) == tree


def test_unflatten_undoes_flatten_but_for_tuples():
    assert tree_unflatten(tree_flatten({"a": [1, (2, 3)], "b": {"d": 4}})) == {"a": [1, [2, 3]], "b": {"d": 4}}


def test_reduce():
    tree = {"a": [1, 2], "b": 3}
    assert tree_reduce(lambda t, x: t + x, tree) == 6
    assert tree_reduce(lambda t, x: t + x, tree, 10) == 16
    assert tree_reduce(lambda t, x: t + [x], tree, []) == [1, 2, 3]
    assert tree_reduce(lambda t, x: t + x, []) is None
    assert tree_reduce(lambda t, x: t + len(x), {"a": [1, 2]}, 0, is_leaf=lambda x: isinstance(x, list)) == 2


@pytest.mark.parametrize(
    "a, b, merged",
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ([1, {}], [{}, 2], [1, 2]),
        ([{"a": 1}, None], [{"b": 2}, 4, 5], [{"a": 1, "b": 2}, 4, 5]),
        ({"a": None}, {"a": 2}, {"a": 2}),
        ({"a": 1}, None, {"a": 1}),
    ],
)
def test_merge(a, b, merged):
    assert tree_merge(a, b) == merged


def test_merge_needs_a_function_where_both_have_a_leaf():
    with pytest.raises(ValueError, match="no merge function"):
        tree_merge({"a": 1}, {"a": 2})
    assert tree_merge({"a": 1, "b": [1]}, {"a": 2, "b": [5, 6]}, lambda x, y: x + y) == {"a": 3, "b": [6, 6]}
