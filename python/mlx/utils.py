"""Trees: nested dicts, lists and tuples whose leaves are anything else.

A tree is walked without copying its leaves. Dicts come out as plain dicts, lists and tuples as what they were. A path
names a leaf by its keys joined with dots ("layers.0.weight"); a list or tuple's keys are its positions.
"""

from typing import Any, Callable, Dict, List, Optional, Tuple, Union, overload

__all__ = ["tree_map", "tree_map_with_path", "tree_flatten", "tree_unflatten", "tree_reduce", "tree_merge"]


def _rebuild(like, items):
    """A list or tuple of the type of `like` (named tuples included) holding `items`."""
    kind = type(like)
    if kind is list:
        return items
    if hasattr(kind, "_fields"):
        return kind(*items)
    return kind(items)


def tree_map(fn: Callable, tree: Any, *rest: Any, is_leaf: Optional[Callable] = None) -> Any:
    """Apply ``fn`` to every leaf and return a tree of the results.

    The trees in ``rest`` are walked along: ``fn`` gets their values at the same place as further arguments; they may
    go on below a leaf of ``tree``. What ``is_leaf`` says yes to is not walked into.

    >>> tree_map(lambda x, y: x + y, {"a": [1, 2]}, {"a": [3, 4]})
    {'a': [4, 6]}
    """
    if is_leaf is None and not rest:
        return _map_one(fn, tree)
    if is_leaf is not None and is_leaf(tree):
        return fn(tree, *rest)
    if isinstance(tree, dict):
        return {k: tree_map(fn, v, *[r[k] for r in rest], is_leaf=is_leaf) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return _rebuild(tree, [tree_map(fn, v, *[r[i] for r in rest], is_leaf=is_leaf) for i, v in enumerate(tree)])
    return fn(tree, *rest)


def _map_one(fn, tree):
    """tree_map's common case, one tree and no is_leaf, without the packing of arguments."""
    if isinstance(tree, dict):
        return {k: _map_one(fn, v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return _rebuild(tree, [_map_one(fn, v) for v in tree])
    return fn(tree)


def tree_map_with_path(
    fn: Callable, tree: Any, *rest: Any, is_leaf: Optional[Callable] = None, path: Optional[Any] = None
) -> Any:
    """As :func:`tree_map`, but ``fn`` gets the leaf's path first: ``fn(path, leaf, *others)``.

    >>> tree_map_with_path(lambda path, x: path, {"a": [1, 2]})
    {'a': ['a.0', 'a.1']}
    """
    if is_leaf is not None and is_leaf(tree):
        return fn(path, tree, *rest)
    start = f"{path}." if path else ""
    if isinstance(tree, dict):
        return {
            k: tree_map_with_path(fn, v, *[r[k] for r in rest], is_leaf=is_leaf, path=f"{start}{k}")
            for k, v in tree.items()
        }
    if isinstance(tree, (list, tuple)):
        return _rebuild(
            tree,
            [
                tree_map_with_path(fn, v, *[r[i] for r in rest], is_leaf=is_leaf, path=f"{start}{i}")
                for i, v in enumerate(tree)
            ],
        )
    return fn(path, tree, *rest)


@overload
def tree_flatten(
    tree: Any, prefix: str = "", is_leaf: Optional[Callable] = None, destination: Optional[List[Tuple[str, Any]]] = None
) -> List[Tuple[str, Any]]: ...
@overload
def tree_flatten(tree: Any, prefix: str = "", is_leaf: Optional[Callable] = None, *, destination: Dict[str, Any]) -> Dict[str, Any]: ...
def tree_flatten(
    tree: Any,
    prefix: str = "",
    is_leaf: Optional[Callable] = None,
    destination: Optional[Union[List[Tuple[str, Any]], Dict[str, Any]]] = None,
) -> Union[List[Tuple[str, Any]], Dict[str, Any]]:
    """The leaves with their paths, as a list of pairs or into ``destination``, a list or a dict.

    >>> tree_flatten({"a": [1, {"b": 2}]})
    [('a.0', 1), ('a.1.b', 2)]

    A prefix is put before every path; its first character is dropped, as it is meant for a leading dot.
    """
    if destination is None:
        destination = []
    if isinstance(destination, list):
        _flatten(tree, prefix, is_leaf, lambda path, leaf: destination.append((path, leaf)))
    elif isinstance(destination, dict):
        _flatten(tree, prefix, is_leaf, destination.__setitem__)
    else:
        raise ValueError("Destination should be either a list or a dictionary or None")
    return destination


def _flatten(tree, path, is_leaf, put):
    """Give every leaf to ``put``; ``path`` carries a leading dot that is cut at the leaf."""
    if is_leaf is None or not is_leaf(tree):
        if isinstance(tree, dict):
            for k, v in tree.items():
                _flatten(v, f"{path}.{k}", is_leaf, put)
            return
        if isinstance(tree, (list, tuple)):
            for i, v in enumerate(tree):
                _flatten(v, f"{path}.{i}", is_leaf, put)
            return
    put(path[1:], tree)


def tree_unflatten(tree: Union[List[Tuple[str, Any]], Dict[str, Any]]) -> Any:
    """The tree that :func:`tree_flatten` came from (tuples come back as lists).

    A level whose keys are all whole numbers becomes a list, its gaps filled with empty dicts.

    >>> tree_unflatten([("a.0", 1), ("a.1.b", 2)])
    {'a': [1, {'b': 2}]}
    """
    pairs = list(tree.items() if isinstance(tree, dict) else tree)
    if not pairs:
        return []
    if len(pairs) == 1 and pairs[0][0] == "":
        return pairs[0][1]

    below: Dict[str, list] = {}
    for path, leaf in pairs:
        key, _, rest = path.partition(".")
        below.setdefault(key, []).append((rest, leaf))
    try:
        places = {int(k): v for k, v in below.items()}
    except ValueError:
        return {k: tree_unflatten(v) for k, v in below.items()}
    result = []
    for i in sorted(places):
        result.extend({} for _ in range(i - len(result)))
        result.append(tree_unflatten(places[i]))
    return result


def tree_reduce(fn, tree, initializer=None, is_leaf=None) -> Any:
    """Fold the leaves from left to right: ``fn(fn(initializer, first), second)`` and so on.

    >>> tree_reduce(lambda total, x: total + x, {"a": [1, 2], "b": 3}, 0)
    6
    """
    if is_leaf is None or not is_leaf(tree):
        if isinstance(tree, dict):
            tree = tree.values()
        elif not isinstance(tree, (list, tuple)):
            return tree if initializer is None else fn(initializer, tree)
        for branch in tree:
            initializer = tree_reduce(fn, branch, initializer, is_leaf)
        return initializer
    return tree if initializer is None else fn(initializer, tree)


def _is_nothing(tree):
    return tree is None or (isinstance(tree, (dict, list, tuple)) and not tree)


def tree_merge(tree_a, tree_b, merge_fn=None) -> Any:
    """One tree with the leaves of both; ``merge_fn(a, b)`` decides where both have one, without it that is an error.

    ``None`` and empty containers count as nothing there.

    >>> tree_merge({"a": {"x": 1}}, {"a": {"y": 2}})
    {'a': {'x': 1, 'y': 2}}
    """
    if _is_nothing(tree_a) and not _is_nothing(tree_b):
        return tree_b
    if _is_nothing(tree_b) and tree_a is not None:
        return tree_a
    if isinstance(tree_a, dict) and isinstance(tree_b, dict):
        merged = {k: tree_merge(v, tree_b.get(k), merge_fn) for k, v in tree_a.items()}
        merged.update((k, v) for k, v in tree_b.items() if k not in tree_a)
        return merged
    if isinstance(tree_a, (list, tuple)) and isinstance(tree_b, (list, tuple)):
        both = [tree_merge(a, b, merge_fn) for a, b in zip(tree_a, tree_b)]
        n = len(both)
        return _rebuild(tree_a, both + list(tree_a[n:]) + list(tree_b[n:]))
    if merge_fn is None:
        raise ValueError("Trees contain elements at the same locations but no merge function was provided")
    return merge_fn(tree_a, tree_b)
