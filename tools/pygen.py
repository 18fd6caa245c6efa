#!/usr/bin/env python3
"""Writes the functions of mlx.core from ops/python.def: pycore.c (wrappers, tables) and core/*.pyi (the stubs).

    pygen.py --def ops/python.def --include include --classes python/ext/classes.pyi --out DIR

A wrapper binds its arguments to the signature, converts each by its type, calls the C function and makes the result.
Rows whose C functions no header under --include declares are left out. Standard library only.
"""

import argparse
import ast
import os
import re
import sys

ROOMS = ["core", "linalg", "fft", "random", "fast", "distributed", "metal", "cuda", "_optim", "_nn"]


class Param:
    def __init__(self, text, keyword_only, beyond=False):
        self.beyond = beyond
        m = re.match(r"(\**)(\w+)(?:: (.*))?$", text, re.S)
        if not m:
            raise SystemExit(f"python.def: parameter {text!r}")
        self.stars, self.name, rest = m.groups()
        self.type, self.default = rest or "object", None
        depth = 0
        for i, ch in enumerate(self.type):
            depth += ch in "[(" and 1 or ch in "])" and -1 or 0
            if ch == "=" and depth == 0:
                self.type, self.default = self.type[:i], self.type[i + 1 :]
                break
        self.keyword_only = keyword_only

    @property
    def required(self):
        return self.default is None and not self.stars


class Sig:
    def __init__(self, text):
        m = re.match(r"\((.*)\) -> (.*)$", text, re.S)
        if not m:
            raise SystemExit(f"python.def: signature {text!r}")
        self.result, self.params, self.npositional_only, self.renamed = m.group(2), [], 0, []
        keyword_only = beyond = False
        parts = split(m.group(1))
        for part in parts:
            renamed = re.match(r"(\w+) -> (\w+)$", part)
            if part == "/":
                self.npositional_only = len(self.params)
            elif part in ("*", "+"):
                keyword_only, beyond = True, part == "+"
            elif renamed:
                self.renamed.append(renamed.groups())
            else:
                self.params.append(Param(part, keyword_only, beyond))
                keyword_only |= part.startswith("*")
        starred = any(part.startswith("*") for part in parts)
        shown = ["*" if part == "+" else part for part in parts if not (part == "+" and starred) and " -> " not in part]
        self.text = f'({", ".join(shown)}) -> {self.result}'

    def also(self):
        """What the docstring says of keywords that the signature does not show: it is MLX's."""
        words = [f"{p.name}={p.default}" for p in self.params if p.beyond] + [f"{new}= for {old}" for new, old in self.renamed]
        return f' Also takes {", ".join(words)}.' if words else ""

    @property
    def variadic(self):
        return any(p.stars == "*" for p in self.params)

    @property
    def bound(self):
        """What is bound one by one: *args takes the positional parameters before it along."""
        if not self.variadic:
            return self.params
        first = next(i for i, p in enumerate(self.params) if p.stars == "*")
        return [p for p in self.params[first:] if p.stars != "**"]

    def c(self, name, method):
        """The initializer of a px_sig."""
        npos = 0 if self.variadic else sum(not p.keyword_only for p in self.params)
        required = sum(1 << i for i, p in enumerate(self.bound) if p.required)
        first = max(self.npositional_only, 1 if method or self.variadic else 0)
        names = ", ".join(f'"{p.name}"' for p in self.bound)
        text = self.text.replace('"', '\\"')
        order = [p.name for p in self.bound]
        renamed = ", ".join(f'{{"{new}", {order.index(old)}}}' for new, old in self.renamed) or "{NULL, 0}"
        if method:
            text = re.sub(r"^\(\w+: [^,)]*(, /)?", "(self", text)
        return (
            f'{{"{name}", "{text}", {{{names}}}, {first}, {npos}, {len(self.bound)}, '
            f'{"true" if self.variadic else "false"}, 0x{required:x}, {{{renamed}}}}}'
        )

    def python(self, method):
        """__text_signature__."""
        parts, star = ["$self"] if method else ["$module", "/"], False
        for i, p in enumerate(self.params):
            if method and i == 0:
                parts.append("/")
                continue
            if p.beyond:
                continue
            if p.keyword_only and not star and not self.variadic:
                parts.append("*")
                star = True
            default = p.default
            if default is not None and (default in DTYPES or default.startswith("[")):
                default = "None" if default in DTYPES else f"({default[1:-1]})"
            parts.append(p.stars + p.name + (f"={default}" if default is not None else ""))
            if not method and i + 1 == self.npositional_only:
                if "/" in parts[1:2]:
                    parts.pop(1)
                parts.append("/")
        if not method and parts[1:2] == ["/"]:
            parts = ["$module"] + (["/"] if len(parts) > 2 else []) + parts[2:]
            if "/" in parts[1:2]:
                parts[0:2] = ["$module", "/"]
        return "(" + ", ".join(parts) + ")"


def split(text):
    """Splits at commas outside brackets and quotes."""
    parts, depth, cur, quote = [], 0, "", ""
    for i, ch in enumerate(text):
        if quote:
            quote = "" if ch == quote and text[i - 1] != "\\" else quote
        elif ch in "\"'":
            quote = ch
        elif ch in "([{":
            depth += 1
        elif ch in ")]}":
            depth -= 1
        if ch == "," and depth == 0 and not quote:
            parts.append(cur.strip())
            cur = ""
        else:
            cur += ch
    if cur.strip():
        parts.append(cur.strip())
    return parts


NAMED = {}  # tuples whose elements have names: (submodule, names)

DTYPES = {
    f"{k}": f"MLX_{k.upper()}"
    for k in "uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64 bfloat16 complex64".split()
}


class Row:
    def __init__(self, name, sig, call, doc):
        self.name, self.sig, self.call, self.doc = name, Sig(sig), call, doc
        room, _, self.short = name.rpartition(".")
        self.room = room or "core"
        self.id = (name.lstrip("_") if room else name).replace(".", "_")  # _optim.adam is mlx_optim_adam

    def needs(self):
        if self.call == "-":
            return {"mlx_" + self.id}
        if self.call == "reduce":
            return {f"mlx_{self.id}", f"mlx_{self.id}_axis", f"mlx_{self.id}_axes"}
        return set(re.findall(r"\bmlx_\w+", self.call)) - {"mlx_dtype", "mlx_array"}


def read_table(path):
    text = re.sub(r"/\*.*?\*/", "", open(path).read(), flags=re.S)
    rows, methods, aliases, pos = {}, [], [], 0
    for m in re.finditer(r"^(FN|METHOD|ALIAS|NAMED)\(", text, re.M):
        depth, i, quote = 1, m.end(), ""
        while depth:
            ch = text[i]
            if quote:
                quote = "" if ch == quote else quote
            elif ch == '"':
                quote = ch
            else:
                depth += (ch in "([{") - (ch in ")]}")
            i += 1
        args = split(text[m.end() : i - 1])
        if m.group(1) == "FN":
            # a default may hold a comma inside brackets, a call too: split() respects both
            if len(args) != 4:
                raise SystemExit(f"python.def: {args[0]}: {len(args)} columns")
            rows[args[0]] = Row(args[0], args[1], args[2], ast.literal_eval(args[3]))
        elif m.group(1) == "METHOD":
            methods.append(args)
        elif m.group(1) == "NAMED":
            room, _, short = args[0].rpartition(".")
            NAMED[short] = (room or "core", args[1:])
        else:
            aliases.append(args)
    return rows, methods, aliases


# ---- conversion: (declaration, converter or None, cleanup) by type -------------------------------------------


def literal(p):
    d = p.default
    if d in (None, "None"):
        return None
    if d in ("True", "False"):
        return d.lower()
    if d.startswith("'"):
        return '"' + d[1:-1] + '"'
    return DTYPES.get(d, d)


def convert(sig, i):
    """C lines that declare parameter i, convert it and clean up: three lists."""
    p, n = sig.params[i], sig.params[i].name
    t, lit, given = p.type, literal(p), f"v_[{i}]"
    optional = p.default is not None
    dec, conv, drop = [], None, []

    def when(expr, otherwise=None):
        if not optional:
            return f"  if (!rc) rc = {expr};"
        return (
            f"  if (!rc && {given}) rc = {expr};"
            if otherwise is None
            else f"  if (!rc) rc = {given} ? {expr} : {otherwise};"
        )

    if p.stars == "*":
        return (
            [f"  px_arrays {n} = {{{{0}}}};"],
            f"  if (!rc) rc = px_to_any_arrays({given}, &{n});",
            [f"  px_drop_arrays(&{n});"],
        )
    if is_device(p):
        return [], f"  if (!rc) rc = px_device_arg({given}, &v_[{stream_of(sig)}]);", []
    if t == "StreamLike":
        return (
            ["  px_stream S_ = {{0}, false};"],
            when("px_to_stream(%s, &S_)" % given, "px_default_stream(&S_)"),
            ["  px_drop_stream(&S_);"],
        )
    if t in ("array", "array|None", "scalar|array", "scalar|array|None", "None|scalar|array"):
        dec, drop = [f"  px_arg {n} = {{{{0}}, NULL}};"], [f"  px_drop(&{n});"]
        like = next((q.name for q in sig.params[:i] if q.type == "array"), None)
        if t == "array":
            conv = when(f"px_to_array({given}, &{n})")
        elif t == "array|None":
            conv = when(f"px_to_array_or_none({given}, &{n})")
        elif pair_with(sig, i) is not None:
            j = pair_with(sig, i)
            conv = f"  if (!rc) rc = px_to_pair(v_[{i}], v_[{j}], &{n}, &{sig.params[j].name});" if j > i else None
        elif t == "scalar|array" and not like:
            conv = when(f"px_to_any({given}, &{n})", None if lit is None else f"px_default_scalar(&{n}, {lit})")
        elif t == "scalar|array":
            conv = when(
                f"px_to_weak({given}, mlx_array_dtype({like}.h), &{n})",
                None if lit is None else f"px_default_scalar(&{n}, {lit})",
            )
        elif like:
            conv = when(f"px_to_weak_or_none({given}, mlx_array_dtype({like}.h), &{n})")
        else:
            conv = when(f"px_to_any_or_none({given}, &{n})")
        return dec, conv, drop
    if t == "int":
        return [f"  int {n} = {lit or 0};"], when(f"px_to_int({given}, &{n})"), []
    if t in ("int|None", "None|int"):
        init = f"{{{lit}, true}}" if lit else "{0, false}"
        return [f"  mlx_optional_int {n} = {init};"], when(f"px_to_int_or_none({given}, &{n})"), []
    if t == "float":
        return [f"  double {n} = {lit or 0};"], when(f"px_to_double({given}, &{n})"), []
    if t == "float|seq[float]":
        return [f"  px_doubles {n} = {{.n = 0}};"], when(f"px_to_doubles({given}, &{n})"), []
    if t in ("float|None", "None|float"):
        return [f"  mlx_optional_float {n} = {{0, false}};"], when(f"px_to_float_or_none({given}, &{n})"), []
    if t in ("bool", "bool|None"):
        return [f"  bool {n} = {lit or 'false'};"], when(f"px_to_bool({given}, &{n})"), []
    if t in ("str", "str|None"):
        return [f"  const char *{n} = {lit or 'NULL'};"], when(f"px_to_string({given}, &{n})"), []
    if t in ("None|int|seq[int]", "int|seq[int]|None", "None|int|list[int]"):
        return [f"  px_ints {n} = {{.n = -1}};"], when(f"px_to_ints({given}, &{n})"), []
    if t == "int|seq[int]":
        start = f".n = 1, .single = true, .v = {{{lit}}}" if lit else ".n = 0"
        return [f"  px_ints {n} = {{{start}}};"], when(f"px_to_size_or_shape({given}, &{n})"), []
    if t in ("seq[int]", "seq[int]|None"):
        start = "-1" if t.endswith("None") else "0"
        return (
            [f"  px_ints {n} = {{.n = {start}}};"],
            when(f"px_to_shape{'_or_none' if t.endswith('None') else ''}({given}, &{n})"),
            [],
        )
    m = re.match(r"int\|tuple\[(int(?:, int)+)\]$", t)
    if m:
        k = m.group(1).count("int")
        vals = ", ".join([lit or "0"] * k)
        return [f"  px_ints {n} = {{.n = {k}, .v = {{{vals}}}}};"], when(f"px_to_repeated({given}, {k}, &{n})"), []
    if t == "Dtype" or (t == "Dtype|None" and lit):
        return (
            [f"  mlx_dtype {n} = {lit or 'MLX_FLOAT32'};"],
            when(f"px_to_dtype_or({given}, {lit}, &{n})" if lit else f"px_to_dtype({given}, &{n})"),
            [],
        )
    if t == "Dtype|None":
        return [f"  mlx_optional_dtype {n} = {{MLX_FLOAT32, false}};"], when(f"px_to_dtype_or_none({given}, &{n})"), []
    if t in ("list[array]", "seq[array]"):
        return [f"  px_arrays {n} = {{{{0}}}};"], when(f"px_to_arrays({given}, &{n})"), [f"  px_drop_arrays(&{n});"]
    raise SystemExit(f"python.def: no conversion for {n}: {t}")


def pair_with(sig, i):
    """Two neighbouring operands of which a Python scalar follows the dtype of the other."""

    def operand(j):
        return 0 <= j < len(sig.params) and sig.params[j].type == "scalar|array" and sig.params[j].required

    names = [p.name for p in sig.params]
    for a, b in (("a", "b"), ("x", "y")):
        if names[i] in (a, b) and a in names and b in names and operand(names.index(a)) and operand(names.index(b)):
            return names.index(b if names[i] == a else a)
    return None


def is_device(p):
    """The array standard's device=: where the operation runs, as stream= says it in MLX."""
    return p.beyond and p.name == "device"


def stream_of(sig):
    return next((i for i, p in enumerate(sig.bound) if p.type == "StreamLike"), None)


def device_of(sig):
    """Where device= stands among what is bound, if a stream can stand for it."""
    return None if stream_of(sig) is None else next((i for i, p in enumerate(sig.bound) if is_device(p)), None)


def arguments(sig):
    """What a plain call passes for each parameter."""
    out = []
    for p in sig.params:
        if is_device(p):
            continue
        n, t = p.name, p.type
        if t == "StreamLike":
            out.append("S_.h")
        elif "array" in t or p.stars:
            out.append(f"{n}.h")
        elif "seq[int]" in t or "tuple[int" in t or "seq[float]" in t:
            out.append(f"{n}.v, (size_t){n}.n")
        else:
            out.append(n)
    return ", ".join(out)


def body(fn, sig, call, name):
    """The C function that converts, calls and makes the result."""
    lines, drops = [f"static int body_{fn}(PyObject **v_, PyObject **out) {{", "  int rc = 0;"], []
    convs = []
    order = sorted(range(len(sig.params)), key=lambda i: not is_device(sig.params[i]))
    for i in order:
        dec, conv, drop = convert(sig, i)
        lines += dec
        convs += [conv] if conv else []
        drops += drop
    lines += convs
    if call == "reduce":
        call = f"px_reduce(RES, a.h, &axis, keepdims, S, mlx_{name}, mlx_{name}_axis, mlx_{name}_axes)"
    elif call == "-":
        call = f"mlx_{name}(RES, {arguments(sig)})"
    kind = sig.result
    call = re.sub(r"\bS\b", "S_.h", call)
    pair = re.match(r"tuple\[(array(?:, array)+)\]$", f'tuple[{", ".join(["array"] * len(NAMED[kind][1]))}]' if kind in NAMED else kind)
    if kind == "array":
        call = re.sub(r"\bRES\b", "&res", call)
        lines += [
            "  if (!rc && (*out = px_new())) {",
            "    mlx_array res = px_handle(*out);",
            f"    rc = px_finish(out, {call});",
            "  }",
        ]
    elif pair and not VECTOR.get(name):
        k = pair.group(1).count("array")
        call = re.sub(r"\bRES\b", ", ".join(f"&r{j}" for j in range(k)), call)
        lines += [f"  if (!rc && (*out = px_new_tuple({k}))) {{"]
        lines += [f"    mlx_array r{j} = px_handle(PyTuple_GetItem(*out, {j}));" for j in range(k)]
        lines += [f"    rc = px_finish(out, {call});"]
        lines += [f'    if (!rc) rc = px_name_results(out, "{kind}");'] if kind in NAMED else []
        lines += ["  }"]
    else:
        call = re.sub(r"\bRES\b", "&res", call)
        make = "px_vector_tuple" if kind.startswith("tuple") and name not in LISTS else "px_vector_list"
        lines += [
            "  if (!rc) {",
            "    mlx_vector_array res = mlx_vector_array_new();",
            f"    rc = {call};",
            f"    if (rc) rc = px_failed();",
            f"    else *out = {make}(res);",
            "    mlx_vector_array_free(res);",
            "  }",
        ]
    lines += drops + ["  return rc;", "}", ""]
    return lines


VECTOR = {"linalg_lu": True, "divmod": True, "quantize": True}
LISTS = {"quantize", "divmod", "broadcast_arrays"}  # what MLX returns as lists
LIST_RESULTS = {"split", "divmod", "quantize"}


def emit(rows, methods, aliases, have):
    head = ["/* Written by tools/pygen.py from ops/python.def. Do not edit. */", '#include "px_gen.h"', ""]
    src, tables, meth_table, custom, missing, skipped = [], {r: [] for r in ROOMS}, [], set(), [], []
    ok = {n: r for n, r in rows.items() if not (r.needs() - have)}
    skipped = [n for n in rows if n not in ok]

    def one(row, sig, call, fn, method):
        """Emits body and entry of a function; returns the C name of the entry."""
        if call.startswith("@"):
            m = re.match(r"@(\w*)(?:\((.*)\))?", call)
            target = "px_do_" + (m.group(1) or row.id)
            device = device_of(sig)
            if not m.group(2):
                custom.add(target)
            if m.group(2) or device is not None:
                more = f", {m.group(2)}" if m.group(2) else ""
                src.append(f"static int body_{fn}(PyObject **v, PyObject **out) {{")
                if device is not None:
                    src.append(f"  PX_TRY(px_device_arg(v[{device}], &v[{stream_of(sig)}]));")
                src.extend([f"  return {target}(v, out{more});", "}", ""])
                b = f"body_{fn}"
            else:
                b = target
        else:
            src.extend(body(fn, sig, call, row.id))
            b = f"body_{fn}"
        src.append(f"static const px_sig sig_{fn} = {sig.c(row.short, method)};")
        who = "self" if method else "NULL"
        src.extend(
            [
                f"static PyObject *call_{fn}(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {{"
            ]
            + ([] if method else ["  (void)self;"])
            + [f"  return px_call(&sig_{fn}, {b}, {who}, args, nargs, kwnames);", "}", ""]
        )
        doc = f"{row.short}{sig.python(method)}\\n--\\n\\n{row.doc}{sig.also()}".replace('"', '\\"')
        return f'    {{"{row.short}", PX_FN(call_{fn}), PX_FASTCALL, "{doc}"}},'

    for row in ok.values():
        tables[row.room].append(one(row, row.sig, row.call, row.id, False))
    for name, sig, call in methods:
        if name not in ok:
            continue
        row = ok[name]
        c = row.call if call == "-" else call
        if set(re.findall(r"\bmlx_\w+", c)) - have:
            continue
        meth_table.append(one(row, row.sig if sig == "-" else Sig(sig), c, "m_" + row.id, True))
    for new, old in aliases:
        if old not in ok:
            continue
        row = ok[old]
        line = next(x for x in tables[row.room] if x.startswith(f'    {{"{row.short}"'))
        tables["core"].append(
            line.replace(f'{{"{row.short}"', f'{{"{new}"', 1).replace(f', "{row.short}(', f', "{new}(', 1)
        )
    protos = [f"int {c}(PyObject **v, PyObject **out);" for c in sorted(custom)]
    out = head + protos + [""] + src
    for r in ROOMS:
        out += [f"PyMethodDef px_{r.lstrip('_')}_functions[] = {{"] + tables[r] + ["    {0}};", ""]
    out += ["const px_named px_named_results[] = {"]
    for name, (room, fields) in NAMED.items():
        out += [f'    {{"{room}", "{name}", "{" ".join(fields)}"}},']
    out += ["    {NULL, NULL, NULL}};", ""]
    out += ["PyMethodDef px_array_generated[] = {"] + meth_table + ["    {0}};"]
    return "\n".join(out) + "\n", ok, skipped


# ---- the stub file --------------------------------------------------------------------------------------------


def stub_type(t):
    if t in NAMED:
        room = NAMED[t][0]
        return t if room == "core" else f"{room}.{t}"
    t = t.replace("seq[", "Sequence[").replace("StreamLike", "StreamLike").replace("file|", "BinaryIO|")
    t = t.replace("pathlib.Path", "Path").replace("list_or_scalar", "list|scalar")
    for bare, full in (("Callable", "Callable[..., Any]"), ("Sequence", "Sequence[Any]"), ("tuple", "tuple[Any, ...]")):
        t = re.sub(rf"\b{bare}\b(?!\[)", full, t)
    t = re.sub(r"\bndarray\b|\bobject\b", "Any", t)
    return t.replace("|", " | ")


OVERLOADS = {  # results that depend on an argument
    "load": [
        "(file: BinaryIO | str | Path, /, format: str | None = None, return_metadata: Literal[False] = False, *, stream: StreamLike = None) -> Any",
        "(file: BinaryIO | str | Path, /, format: str | None = None, *, return_metadata: Literal[True], stream: StreamLike = None)"
        " -> tuple[dict[str, array], dict[str, Any]]",
    ],
    "svd": [
        "(a: array, compute_uv: Literal[True] = True, *, stream: StreamLike = None, full_matrices: bool = True) -> linalg.SVDResult",
        "(a: array, compute_uv: Literal[False], *, stream: StreamLike = None, full_matrices: bool = True) -> array",
    ],
    "import_function": [
        "(file: str, return_metadata: Literal[False] = False) -> Callable[..., list[array]]",
        "(file: str, return_metadata: Literal[True]) -> tuple[Callable[..., list[array]], str]",
    ],
}


def stub_sig(name, sig, method, doc, indent=""):
    parts, star, late = [], False, []
    for i, p in enumerate(sig.params):
        if method and i == 0:
            parts.append("self")
            continue
        if p.keyword_only and not star and not (sig.variadic and i):
            parts.append("*")
            star = True
        text = p.stars + p.name
        text += ": " + ("Any" if p.stars else stub_type(p.type))
        other = next((new for new, old in sig.renamed if old == p.name), None)
        if p.default is not None or other:
            text += " = " + (p.default or "...") if ":" in text else "=" + p.default
        parts.append(text)
        late += [f"{other}: {stub_type(p.type)} = ..."] if other else []
        if i + 1 == sig.npositional_only and not method:
            parts.append("/")
    parts += late
    if name in OVERLOADS and not method:
        return sum(([indent + "@overload", f"{indent}def {name}{form}: ..."] for form in OVERLOADS[name]), []) + [""]
    return [f'{indent}def {name}({", ".join(parts)}) -> {stub_type(sig.result)}:', f'{indent}    """{doc}{sig.also()}"""', ""]


def stub(ok, methods, aliases, classes):
    text = open(classes).read() if classes and os.path.exists(classes) else ""
    marker = "    # generated methods"
    lines = []
    for name, sig, _ in methods:
        if name in ok:
            lines += stub_sig(name, ok[name].sig if sig == "-" else Sig(sig), True, ok[name].doc, "    ")
    text = text.replace(marker, "\n".join(lines))
    out = [text]
    for row in ok.values():
        if row.room == "core":
            out += stub_sig(row.short, row.sig, False, row.doc)
    for name, (room, fields) in NAMED.items():
        if room == "core":
            out += named_class(name, fields)
    for new, old in aliases:
        if old in ok and "." not in old:
            out.append(f"{new} = {old}")
    out += [f"from mlx.core import {room} as {room}" for room in ROOMS[1:]]
    return builtin_bool("\n".join(out)) + "\n"


def builtin_bool(text):  # the dtype of the name bool hides the type inside the stub
    return re.sub(r"(?<![\w.'\"])bool(?=[\s,\])|=:]|$)(?!: Dtype)", "builtins.bool", text)


def named_class(name, fields):
    return [f"class {name}(NamedTuple):"] + [f"    {f}: array" for f in fields] + [""]


def stub_of_room(room, ok, classes):
    """The stub of a submodule: it imports what it names."""
    out = list(IN_ROOM.get(room, []))
    for name, (where, fields) in NAMED.items():
        if where == room:
            out += named_class(name, fields)
    for row in ok.values():
        if row.room == room and not row.short.startswith("__"):
            out += stub_sig(row.short, row.sig, False, row.doc)
    text = re.sub(rf"\b{room}\.(?=[A-Z])", "", builtin_bool("\n".join(out)))
    used = set(re.findall(r"\w+", re.sub(r'""".*?"""', "", text, flags=re.S)))
    names = {a or b for a, b in re.findall(r"^(?:class (\w+)|(\w+)(?:: \w+)? =)", open(classes).read(), flags=re.M)} & used
    lines = [f'"""The functions of mlx.core.{room}."""', "# Written by tools/pygen.py from ops/python.def. Do not edit.", "import builtins"]
    lines += ["from pathlib import Path"] if "Path" in used else []
    typing = sorted(used & {"Any", "BinaryIO", "Callable", "Literal", "NamedTuple", "Sequence", "overload"})
    lines += [f"from typing import {', '.join(typing)}"] if typing else []
    lines += [f"from mlx.core import {', '.join(sorted(names))}"] if names else []
    return "\n".join(lines) + "\n\n" + text + "\n"


IN_ROOM = {  # what is no function
    "random": ["state: Sequence[array]", ""],
    "distributed": [
        "class Group:",
        "    def rank(self) -> int: ...",
        "    def size(self) -> int: ...",
        "    def split(self, color: int, key: int = -1) -> Group: ...",
        "",
    ],
}


def write(path, text):
    if not os.path.exists(path) or open(path).read() != text:
        open(path, "w").write(text)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--def", dest="table", required=True)
    ap.add_argument("--include", required=True, nargs="+")
    ap.add_argument("--classes", default="")
    ap.add_argument("--out", required=True)
    ap.add_argument("--missing", action="store_true", help="print the rows that were left out")
    args = ap.parse_args()
    have = set()
    for root in args.include:
        for folder, _, files in os.walk(root):
            for f in files:
                if f.endswith(".h"):
                    have |= set(re.findall(r"\b(mlx_\w+)\s*\(", open(os.path.join(folder, f)).read()))
    rows, methods, aliases = read_table(args.table)
    source, ok, skipped = emit(rows, methods, aliases, have)
    os.makedirs(os.path.join(args.out, "core"), exist_ok=True)
    write(os.path.join(args.out, "pycore.c"), source)
    write(
        os.path.join(args.out, "px_have.h"),
        "/* Written by tools/pygen.py: which functions the headers declare. */\n"
        + "".join(f"#define PX_HAVE_{f} 1\n" for f in sorted(have)),
    )
    write(os.path.join(args.out, "core", "__init__.pyi"), stub(ok, methods, aliases, args.classes))
    for room in ROOMS[1:]:
        write(os.path.join(args.out, "core", f"{room}.pyi"), stub_of_room(room, ok, args.classes))
    if args.missing:
        print(f"{len(ok)} functions; without a C function yet: {' '.join(skipped)}", file=sys.stderr)


if __name__ == "__main__":
    main()
