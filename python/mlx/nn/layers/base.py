"""Module: a dict of parameters and sub-modules with attribute access, the base of every layer.

Arrays, dicts, lists, tuples and modules that are set as attributes go into the dict, in the order they were set, and so
make the tree of parameters; everything else is a plain attribute. Names that start with an underscore are kept but are
no parameters, and tuples are not walked.
"""

from __future__ import annotations

import textwrap
from typing import Any, Callable, List, Optional, Tuple, Union

import mlx.core as mx
from mlx.core import _nn
from mlx.utils import tree_flatten, tree_unflatten

_IN_TREE = (mx.array, dict, list, tuple)
_WALKED = (dict, list)
_PARAMETERS = (mx.array, dict, list)
_ABSENT = object()
_OURS = __name__.partition(".layers")[0] + "."


class Module(_nn.Entries):
    """Base class of layers and models.

    Sub-class it, call ``super().__init__()`` first, set arrays and modules as attributes and write ``__call__``:

    >>> class Net(nn.Module):
    ...     def __init__(self, dims):
    ...         super().__init__()
    ...         self.inner = nn.Linear(dims, dims)
    ...         self.scale = mx.ones(dims)
    ...     def __call__(self, x):
    ...         return self.scale * nn.relu(self.inner(x))
    """

    def __init__(self) -> None:
        self._no_grad = set()  # the names of this module's frozen parameters
        self._training = True

    @property
    def training(self) -> bool:
        """Whether the module is in training mode, see :meth:`train`."""
        return self._training

    @property
    def state(self) -> dict[str, Any]:
        """The module's dict itself: parameters, also those with an underscore, and sub-modules."""
        return self

    # -- attributes and printing ------------------------------------------------------------------------------------

    def _extra_repr(self) -> str:
        """What stands between the brackets in front of the sub-modules when the module is printed."""
        return ""

    def __repr__(self) -> str:
        children = tree_flatten(self.children(), is_leaf=self.is_module)
        text = f"{type(self).__name__}({self._extra_repr()}"
        for name, child in children:
            text += "\n" + textwrap.indent(f"({name}): {child!r}", "  ")
        return text + ("\n)" if children else ")")

    def __setattr__(self, key: str, val: Any):
        if isinstance(val, _IN_TREE):
            self.__dict__.pop(key, None)  # it would hide the entry of the dict
            self[key] = val
        else:
            super().__setattr__(key, val)
            self.pop(key, None)

    def __delattr__(self, name) -> None:
        if name in self:
            del self[name]
        else:
            super().__delattr__(name)

    def summary(self) -> str:
        """A table of the modules that hold parameters, their shapes, numbers and memory, and the sums."""
        rows = [("Module", "Type", "Parameters", "Numbers", "Memory")]
        for path, module in _in_order(self, ""):
            own = [(k, v) for k, v in tree_flatten(_own_tree(module)) if isinstance(v, mx.array)]
            if own:
                shapes = ", ".join(f"{k} {v.shape}" for k, v in own)
                numbers, size = sum(v.size for _, v in own), sum(v.nbytes for _, v in own)
                rows.append((path or "(itself)", type(module).__name__, shapes, f"{numbers:,}", _bytes_text(size)))
        a, b, c = (max(len(row[i]) for row in rows) for i in range(3))
        lines = [f"{row[0]:<{a}}  {row[1]:<{b}}  {row[2]:<{c}}  {row[3]:>15}  {row[4]:>10}" for row in rows]
        every = [v for _, v in tree_flatten(self.parameters())]
        numbers, trainable = sum(v.size for v in every), sum(v.size for _, v in tree_flatten(self.trainable_parameters()))
        total = f"{numbers:,} numbers, {trainable:,} trainable, {numbers - trainable:,} frozen"
        return "\n".join([*lines, f"{type(self).__name__}: {total}, {_bytes_text(sum(v.nbytes for v in every))}"])

    # -- files ------------------------------------------------------------------------------------------------------

    def load_weights(self, file_or_weights: Union[str, List[Tuple[str, mx.array]]], strict: bool = True) -> Module:
        """Set the parameters from a file (npz, safetensors) or from pairs of name and array.

        With ``strict`` the names and shapes must be exactly those of :meth:`parameters`, and the layers of this package take
        what is floating for what is floating and packed weights of just their dtype. The error names the files, if the arrays
        are as :func:`mlx.core.load` gave them.
        """
        weights = file_or_weights
        if not isinstance(weights, (list, dict)):
            weights = mx.load(str(weights))
        weights = dict(weights)
        if strict:
            self._check_weights(weights)
        if weights:
            self.update(tree_unflatten(weights), strict=False)
        return self

    def _check_weights(self, weights):
        mine = tree_flatten(self.parameters(), destination={})
        for names, fault, said in (
            (weights.keys() - mine.keys(), "Received {} parameters not in model", "They were read from {}."),
            (mine.keys() - weights.keys(), "Missing {} parameters", "They are not in {}."),
        ):
            if names:
                files = _files(weights[n] for n in (names & weights.keys() or weights))
                text = fault.format(len(names)) + ": \n" + ",\n".join(sorted(names)) + "."
                raise ValueError(text + "\n" + said.format(files) if files else text)
        owners = None
        for name, old in mine.items():
            new = weights[name]
            if not isinstance(new, mx.array):
                raise ValueError(f"Expected mx.array but received {type(new)} for parameter {name}")
            if new.shape != old.shape:
                fault = f"Expected shape {old.shape} but received shape {new.shape}"
            elif new.dtype == old.dtype or _serves(old.dtype, new.dtype):
                continue
            else:
                owners = owners or dict(self.named_modules())
                if not type(owners.get(name.rpartition(".")[0])).__module__.startswith(_OURS):
                    continue  # a module of the user's may know what to do with it
                fault = f"Expected dtype {_name(old.dtype)} but received dtype {_name(new.dtype)}"
            files = _files([new])
            raise ValueError(f"{fault} for parameter {name}" + (f" in {files}" if files else ""))

    def save_weights(self, file: str):
        """Write the parameters into a file; its suffix, ``.npz`` or ``.safetensors``, says how."""
        file = str(file)
        weights = tree_flatten(self.parameters(), destination={})
        if file.endswith(".npz"):
            mx.savez(file, **weights)
        elif file.endswith(".safetensors"):
            mx.save_safetensors(file, weights)
        else:
            raise ValueError(f"Unsupported file extension for {file}. Use '.npz' or '.safetensors'.")

    # -- walking ----------------------------------------------------------------------------------------------------

    @staticmethod
    def is_module(value) -> bool:
        return isinstance(value, Module)

    @staticmethod
    def valid_child_filter(module, key, value) -> bool:
        return isinstance(value, _WALKED)

    @staticmethod
    def valid_parameter_filter(module, key, value) -> bool:
        return isinstance(value, _PARAMETERS) and key[0] != "_"

    @staticmethod
    def trainable_parameter_filter(module, key, value) -> bool:
        return isinstance(value, _PARAMETERS) and key[0] != "_" and key not in module._no_grad

    def filter_and_map(
        self,
        filter_fn: Callable[[Module, str, Any], bool],
        map_fn: Optional[Callable] = None,
        is_leaf_fn: Optional[Callable[[Module, str, Any], bool]] = None,
    ):
        """The module's tree with only what ``filter_fn(module, key, value)`` lets through, leaves mapped by ``map_fn``.

        Inside dicts and lists of a module a key is the path from the module ("blocks.0"), and what is filtered out
        leaves an empty dict in its place. By default a leaf is anything but a module, a dict or a list.
        """
        return {k: _walk(self, k, v, filter_fn, map_fn, is_leaf_fn) for k, v in self.items() if filter_fn(self, k, v)}

    def parameters(self) -> dict[str, Any]:
        """The tree of all arrays, those with names that start with an underscore left out."""
        return self.filter_and_map(self.valid_parameter_filter)

    def trainable_parameters(self) -> dict[str, Any]:
        """The tree of the parameters that are not frozen."""
        return _trainable(self.items(), self._no_grad, "")

    def children(self) -> dict[str, Any]:
        """The tree of the direct sub-modules."""
        return self.filter_and_map(self.valid_child_filter, is_leaf_fn=lambda m, k, v: isinstance(v, Module))

    def leaf_modules(self) -> dict[str, Any]:
        """The tree of the sub-modules that have nothing below them but parameters."""

        def is_leaf(m, k, v):
            return isinstance(v, Module) and not tree_flatten(v.children())

        return self.filter_and_map(self.valid_child_filter, is_leaf_fn=is_leaf)

    def modules(self) -> list[Module]:
        """A list of this module and all below it."""
        return [m for _, m in self.named_modules()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """A list of pairs of path and module, this one first, with the path ``""``."""
        found = []
        todo = [("", self)]
        while todo:
            path, module = todo.pop()
            found.append((path, module))
            prefix = "." + path if path else ""
            todo.extend(tree_flatten(module.children(), prefix=prefix, is_leaf=self.is_module))
        return found

    # -- changing ---------------------------------------------------------------------------------------------------

    def update(self, parameters: dict, strict: bool = True) -> Module:
        """Replace the parameters that the tree ``parameters`` has; it may be any part of the module's tree.

        With ``strict`` what is not an array, or has no place in the module, is an error.
        """
        _update(self, parameters, strict)
        return self

    def apply(
        self,
        map_fn: Callable[[mx.array], mx.array],
        filter_fn: Optional[Callable[[Module, str, Any], bool]] = None,
    ) -> Module:
        """Replace every parameter (or what ``filter_fn`` lets through) by ``map_fn`` of it."""
        self.update(self.filter_and_map(filter_fn or Module.valid_parameter_filter, map_fn))
        return self

    def update_modules(self, modules: dict, strict: bool = True) -> Module:
        """Replace the sub-modules that the tree ``modules`` has; with ``strict`` each must have a place here."""
        _update_modules(self, modules, strict)
        return self

    def apply_to_modules(self, apply_fn: Callable[[str, Module], Any]) -> Module:
        """Call ``apply_fn(path, module)`` for this module and all below it."""
        for path, module in self.named_modules():
            apply_fn(path, module)
        return self

    def set_dtype(
        self,
        dtype: mx.Dtype,
        predicate: Optional[Callable[[mx.Dtype], bool]] = lambda x: mx.issubdtype(x, mx.floating),
    ):
        """Cast the parameters whose dtype the predicate accepts (by default the floating ones)."""
        if predicate is None:
            predicate = lambda _: True
        self.apply(lambda x: x.astype(dtype) if predicate(x.dtype) else x)

    # -- freezing and modes -----------------------------------------------------------------------------------------

    def _validate_keys(self, keys, strict):
        keys = [keys] if isinstance(keys, str) else keys
        if strict:
            for key in keys:
                if key not in self:
                    raise KeyError(f"Module doesn't contain member {key}.")
        return keys

    def _validate_keys_recursive(self, keys):
        """Each key must be a member of this module or of one below."""
        keys = [keys] if isinstance(keys, str) else keys
        members = set().union(*self.modules())
        for key in keys:
            if key not in members:
                raise KeyError(f"Module doesn't contain member {key}.")

    def freeze(
        self, *, recurse: bool = True, keys: Optional[Union[str, List[str]]] = None, strict: bool = False
    ) -> Module:
        """Leave parameters out of :meth:`trainable_parameters`: all, or those named by ``keys``.

        With ``strict`` a key that exists nowhere is a ``KeyError``.
        """
        if recurse:
            if strict and keys is not None:
                self._validate_keys_recursive(keys)
            return self.apply_to_modules(lambda _, m: m.freeze(recurse=False, keys=keys))
        self._no_grad.update(_own_parameters(self) if keys is None else self._validate_keys(keys, strict))
        return self

    def unfreeze(
        self, *, recurse: bool = True, keys: Optional[Union[str, List[str]]] = None, strict: bool = False
    ) -> Module:
        """Undo :meth:`freeze`, for all parameters or those named by ``keys``."""
        if recurse:
            if strict and keys is not None:
                self._validate_keys_recursive(keys)
            return self.apply_to_modules(lambda _, m: m.unfreeze(recurse=False, keys=keys))
        if keys is None:
            self._no_grad.clear()
        else:
            self._no_grad.difference_update(self._validate_keys(keys, strict))
        return self

    def _set_training_mode(self, mode: bool) -> None:
        self._training = mode

    def train(self, mode: bool = True) -> Module:
        """Set training mode, here and below: dropout drops and batch norm gathers statistics only then."""
        return self.apply_to_modules(lambda _, m: m._set_training_mode(mode))

    def eval(self) -> Module:
        """Leave training mode, see :meth:`train`."""
        return self.train(False)


def _files(arrays):
    """The files that arrays were loaded from, as far as that is known."""
    files = sorted({file for a in arrays if isinstance(a, mx.array) and (file := mx._nn.origin(a))})
    return ", ".join(files[:4]) + (f" and {len(files) - 4} more" if len(files) > 4 else "")


def _serves(wanted, given):
    """Whether a layer that has the one dtype can go on with the other."""
    return mx.issubdtype(wanted, mx.inexact) and mx.issubdtype(given, mx.inexact)


def _name(dtype):
    return str(dtype).rpartition(".")[2]


def _in_order(module, path):
    """Pairs of path and module, each before those below it, in the order they were set."""
    yield path, module
    for name, child in tree_flatten(module.children(), is_leaf=Module.is_module):
        if isinstance(child, Module):
            yield from _in_order(child, f"{path}.{name}" if path else name)


def _own_tree(module):
    """A module's parameters, those of sub-modules left out."""
    return module.filter_and_map(lambda m, k, v: not isinstance(v, Module) and Module.valid_parameter_filter(m, k, v))


def _own_parameters(module):
    """The names of a module's parameters, those of sub-modules left out."""
    return [k for k, _ in tree_flatten(_own_tree(module))]


def _bytes_text(n):
    units = ["B", "KB", "MB", "GB", "TB"]
    while n >= 1024 and len(units) > 1:
        n /= 1024
        units.pop(0)
    return f"{n} B" if units[0] == "B" else f"{n:.1f} {units[0]}"


def _walk(module, key, value, filter_fn, map_fn, is_leaf_fn):
    """One value of filter_and_map that has passed the filter."""
    if is_leaf_fn is None:
        if isinstance(value, mx.array):
            return map_fn(value) if map_fn else value
        is_leaf = not isinstance(value, _WALKED)
    else:
        is_leaf = is_leaf_fn(module, key, value)
    if is_leaf:
        return map_fn(value) if map_fn else value

    if isinstance(value, Module):
        return {
            k: _walk(value, k, v, filter_fn, map_fn, is_leaf_fn) for k, v in value.items() if filter_fn(value, k, v)
        }
    if isinstance(value, _WALKED):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        walked = {
            k: (
                _walk(module, f"{key}.{k}", v, filter_fn, map_fn, is_leaf_fn)
                if filter_fn(module, f"{key}.{k}", v)
                else {}
            )
            for k, v in pairs
        }
        return walked if isinstance(value, dict) else list(walked.values())
    raise RuntimeError("Unexpected leaf found while traversing the module")


def _trainable(pairs, frozen, path):
    """filter_and_map with trainable_parameter_filter, written out: every training step does it.

    ``pairs`` are those of a module, or of a dict or list inside the one that ``frozen`` belongs to, at ``path``.
    """
    found = {}
    for k, v in pairs:
        name = f"{path}{k}" if path else k
        if name[0] == "_" or name in frozen or not isinstance(v, _PARAMETERS):
            if path:
                found[k] = {}
        elif isinstance(v, mx.array):
            found[k] = v
        elif isinstance(v, Module):
            found[k] = _trainable(v.items(), v._no_grad, "")
        elif isinstance(v, dict):
            found[k] = _trainable(v.items(), frozen, name + ".")
        else:
            found[k] = list(_trainable(enumerate(v), frozen, name + ".").values())
    return found


def put_back(dst, parameters):
    """Module.update with a tree that came from the module: nothing to check, no place to miss."""
    for k, v in parameters.items() if isinstance(parameters, dict) else enumerate(parameters):
        if isinstance(v, mx.array):
            dst[k] = v
        elif v:
            put_back(dst[k], v)


def _update(dst, new, strict):
    if isinstance(new, dict) and isinstance(dst, dict):
        for k, value in new.items():
            old = dst.get(k, _ABSENT)
            if old is _ABSENT:
                _no_place(k, strict, "parameter")
            else:
                _update_one(dst, k, old, value, strict)
    else:
        for k, value in _places(dst, new, strict, "parameter"):
            _update_one(dst, k, dst[k], value, strict)


def _update_one(dst, k, old, value, strict):
    if not isinstance(old, mx.array):
        _update(old, value, strict)
    elif isinstance(value, mx.array) or not strict:
        dst[k] = value
    else:
        raise ValueError(f"Received invalid type: {type(value).__name__}.")


def _update_modules(dst, new, strict):
    for k, value in _places(dst, new, strict, "sub-module"):
        old = dst[k]
        if isinstance(old, Module) and isinstance(value, Module):
            dst[k] = value
        elif isinstance(old, _WALKED):
            _update_modules(old, value, strict)
        elif strict and value != {}:
            raise ValueError(f"Received invalid type: {type(value).__name__}.")


def _places(dst, new, strict, what):
    """The pairs of key and value of the dict or list ``new`` that have a place in ``dst``."""
    if isinstance(new, dict):
        for k in new:
            if not isinstance(dst, dict) or k not in dst:
                _no_place(k, strict, what)
        return [(k, v) for k, v in new.items() if isinstance(dst, dict) and k in dst]
    if isinstance(new, list):
        if len(new) > len(dst) and strict:
            raise ValueError(f"List index {len(dst)} is out of bounds for destination of length {len(dst)}.")
        return zip(range(len(dst)), new)
    if strict:
        raise ValueError(f"Received invalid type: {type(new).__name__}.")
    return ()


def _no_place(k, strict, what):
    if strict:
        raise ValueError(f'Module does not have {what} named "{k}".')
