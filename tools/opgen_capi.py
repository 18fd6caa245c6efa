"""ops/functions.def, extras.def, optim.def and nn.def -> the declarations in include/mlx/c and the wrappers of generated/capi_ops.c."""
import os
import re
import textwrap

# Which types a header needs beside arrays, streams and vectors.
INCLUDES = ["mlx/c/array.h", "mlx/c/optional.h", "mlx/c/stream.h", "mlx/c/vector.h"]
WIDTH = 100
TABLES = {"functions.def": "graph/graph.h", "extras.def": "graph/graph.h", "optim.def": "optim/optim.h", "nn.def": "nn/nn.h"}  # and who declares the mx_ functions


class Param:
    """One parameter: its C type without the const of a handle, its name, whether it may be empty."""

    def __init__(self, text):
        self.optional = "/* may be empty */" in text
        text = " ".join(text.replace("/* may be empty */", "").split())
        m = re.fullmatch(r"(.*?)\s*(\w+)", text)
        if not m:
            raise ValueError(f"cannot read the parameter '{text}'")
        self.decl, self.name = text, m.group(2)
        self.type = m.group(1).replace(" *", "*")
        self.handle = re.sub(r"^const ", "", self.type)


class Function:
    """One row: a prototype, its documentation, and whether it is still to do."""

    def __init__(self, line, where):
        self.todo = line.startswith("todo ")
        line = line.removeprefix("todo ")
        m = re.fullmatch(r"int (mlx_\w+)\((.*)\);", line)
        if not m:
            raise ValueError(f"{where}: not a prototype: {line}")
        self.name, self.where, self.doc = m.group(1), where, []
        self.internal = "mx_" + self.name.removeprefix("mlx_")
        self.params = [Param(p) for p in m.group(2).split(",")]

    @property
    def tag(self):
        return self.name.removeprefix("mlx_")

    def prototype(self, end=";"):
        args = [p.decl + (" /* may be empty */" if p.optional else "") for p in self.params]
        line = f"int {self.name}({', '.join(args)}){end}"
        if len(line) <= WIDTH:
            return line
        return f"int {self.name}(\n    " + ",\n    ".join(args) + f"){end}"


class Section:
    """A header, or a titled part of one: text, verbatim code, functions."""

    def __init__(self, title, text=""):
        self.title, self.text, self.code, self.functions = title, [text] if text else [], [], []


def lines(ops):
    """(file, number, text) of every line of the tables of public functions."""
    for path in (os.path.join(ops, name) for name in TABLES):
        for n, line in enumerate(open(path, encoding="utf-8"), 1):
            yield path, n, line


def read(ops):
    """The tables -> {header name: [Section, ...]}, the first section of each being the header's own."""
    headers, sections, fun = {}, None, None
    for path, n, line in lines(ops):
        line, where = line.rstrip("\n"), f"{path}:{n}"
        if not line.strip():
            fun = None
        elif line.startswith("#"):
            continue
        elif m := re.fullmatch(r"\[(\w+\.h)\] (.*)", line):
            sections = headers[m.group(1)] = [Section(m.group(1), m.group(2))]
        elif sections is None:
            raise ValueError(f"{where}: text before the first [header.h]")
        elif m := re.fullmatch(r"== (.*) ==", line):
            sections.append(Section(m.group(1)))
        elif line.startswith("| "):
            sections[-1].code.append(line[2:])
        elif re.match(r"(todo )?int mlx_", line):
            fun = Function(line, where)
            sections[-1].functions.append(fun)
        elif fun is not None and (m := re.fullmatch(r"    -> (mx_\w+)", line)):
            fun.internal = m.group(1)
        elif fun is not None and line.startswith("    "):
            fun.doc.append(line.strip())
        elif fun is None and not sections[-1].functions:
            sections[-1].text.append(line.strip())
        else:
            raise ValueError(f"{where}: neither a row nor its text: {line}")
    seen = {}
    for f in (f for parts in headers.values() for s in parts for f in s.functions):
        if not f.doc:
            raise ValueError(f"{f.where}: {f.name} has no documentation")
        if f.name in seen:
            raise ValueError(f"{f.where}: {f.name} stands already at {seen[f.name]}")
        seen[f.name] = f.where
    return headers


def comment(text, opening="/**"):
    words = " ".join(text)
    if len(words) + len(opening) + 4 <= WIDTH:
        return f"{opening} {words} */"
    return opening + "\n" + "\n".join(" * " + l for l in textwrap.wrap(words, WIDTH - 3)) + "\n */"


def header(name, parts):
    guard = "MLX_C_" + name.replace(".", "_").upper()
    out = [comment([f"mlx/c/{name}:"] + parts[0].text + ["Written by tools/opgen.py from the tables in ops."], "/*"),
           f"#ifndef {guard}", f"#define {guard}", ""]
    out += [f'#include "{i}"' for i in INCLUDES]
    out += ["", "#ifdef __cplusplus", 'extern "C" {', "#endif"]
    for i, part in enumerate(parts):
        live = [f for f in part.functions if not f.todo]
        if not live:
            continue
        if i:
            out += ["", comment([part.title + "."] + part.text, "/* ----")]
        out += [""] + part.code if part.code else []
        for f in live:
            out += ["", comment(f.doc), f.prototype()]
    out += ["", "#ifdef __cplusplus", "}", "#endif", "", f"#endif /* {guard} */", ""]
    return "\n".join(out)


def headers(ops):
    """The headers that declare at least one function."""
    return {name: header(name, parts) for name, parts in read(ops).items()
            if any(not f.todo for p in parts for f in p.functions)}


# ---- wrappers ----------------------------------------------------------------------------------------------------

# How a parameter reaches the graph function. {p} is its name; a check goes before the call.
PLAIN = {"int", "bool", "float", "double", "size_t", "uint64_t", "int64_t"}


def pass_on(f, params):
    """(checks, arguments) for the parameters behind the results."""
    checks, args, i = [], [], 0
    while i < len(params):
        p = params[i]
        after = params[i + 1] if i + 1 < len(params) else None
        if p.handle == "mlx_stream":
            pass                                            # mx_capi_begin has put it into the scope
        elif p.handle == "mlx_array":
            checks.append(f"  mx_array *x_{p.name} = "
                          f"{'mx_capi_maybe' if p.optional else 'mx_capi_in'}(&call, {p.name}, \"{p.name}\");")
            args.append(f"x_{p.name}")
        elif p.handle == "mlx_vector_array":
            checks.append(f"  const mx_list *v_{p.name} = mx_capi_vector(&call, {p.name}, \"{p.name}\");")
            args += [f"v_{p.name}->n", f"v_{p.name}->at"]
        elif p.type in ("const int*", "const int64_t*", "const double*") and after is not None and after.name == p.name + "_num":
            checks.append(f"  mx_capi_need(&call, {p.name} != NULL || {after.name} == 0, \"{p.name}\");")
            args += [p.name, after.name]
            i += 1
        elif p.type == "const char*":
            if not p.optional:
                checks.append(f"  mx_capi_need(&call, {p.name} != NULL, \"{p.name}\");")
            args.append(p.name)
        elif p.type == "mlx_dtype":
            checks.append(f"  mx_capi_dtype(&call, {p.name}, \"{p.name}\");")
            args.append(f"(mx_dtype){p.name}")
        elif p.type in ("mlx_optional_int", "mlx_optional_float"):
            args.append(f"{p.name}.has_value ? &{p.name}.value : NULL")
        elif p.type == "mlx_optional_dtype":
            checks.append(f"  if ({p.name}.has_value) mx_capi_dtype(&call, {p.name}.value, \"{p.name}\");")
            args.append(f"{p.name}.has_value ? (const mx_dtype *)&{p.name}.value : NULL")
        elif p.type in PLAIN or p.type == "mlx_fft_norm":
            args.append(p.name)
        else:
            raise ValueError(f"{f.where}: no rule for the parameter '{p.decl}' of {f.name}")
        i += 1
    return checks, args


def pairs(ops):
    """The graph functions of the element-wise ops with two operands."""
    with open(os.path.join(ops, "elementwise.def"), encoding="utf-8") as rows:
        return {"mx_" + m.group(1) for m in (re.match(r"BINARY\((\w+),", row) for row in rows) if m}


# ---- calls that are made again for other shapes (graph/recorded.h) --------------------------------------------------

# Functions whose nodes are right for all shapes as they are built, besides those of the element-wise ops and the reductions.
DIRECT = set("""argmax_axis argmin_axis argsort_axis astype conjugate contiguous copy concatenate_axis cummax cummin cumprod cumsum depends
    expand_dims expand_dims_axes flatten imag logcumsumexp logsumexp_axis matrix_transpose moveaxis real slice softmax_axis sort_axis
    squeeze_axes squeeze_axis stop_gradient swapaxes take take_axis transpose transpose_axes where""".split())

# The letter of a parameter (mx_recordable.takes), how it is given to mx_record and how it is taken from there.
LETTERS = {"int": ("i", "i", "(int){x}.i"), "bool": ("b", "i", "{x}.i != 0"), "size_t": ("z", "i", "(size_t){x}.i"), "mlx_dtype": ("y", "i", "(mx_dtype){x}.i"),
           "mlx_fft_norm": ("i", "i", "(mlx_fft_norm){x}.i"), "float": ("d", "d", "(float){x}.d"), "double": ("d", "d", "{x}.d"),
           "const char*": ("t", "text", "{x}.text"), "const int*": ("I", "ints", "{x}.ints"), "const int64_t*": ("L", "longs", "{x}.longs"),
           "const double*": ("D", "doubles", "{x}.doubles"), "mlx_optional_int": ("J", "ints", "{x}.ints"),
           "mlx_optional_float": ("F", "floats", "{x}.floats"), "mlx_optional_dtype": ("Y", "dtypes", "{x}.dtypes")}


def table_names(ops, name):
    with open(os.path.join(ops, name), encoding="utf-8") as rows:
        return {m.group(1) for m in (re.match(r"(?:UNARY|UNARY_OWN|BINARY|TERNARY|REDUCE)\s*\((\w+),", row) for row in rows) if m}


def direct(ops):
    """The graph functions whose calls need not be recorded."""
    reductions = {name + end for name in table_names(ops, "reduce.def") for end in ("", "_axis", "_axes")}
    return {"mx_" + name for name in DIRECT | table_names(ops, "elementwise.def") | reductions}


def recorded_arguments(f, params):
    """(letters, arguments for mx_record, arguments of the graph function taken from x[...])."""
    letters, given, taken, i = "", [], [], 0
    while i < len(params):
        p, x = params[i], f"x[{len(letters)}]"
        if p.handle == "mlx_stream":
            pass
        elif p.handle == "mlx_array":
            letters += "a" if not p.optional else "k" if p.name == "key" else "o"
            given.append(f"{{.array = x_{p.name}}}")
            taken.append(f"{x}.array")
        elif p.handle == "mlx_vector_array":
            letters += "v"
            given.append(f"{{.arrays = v_{p.name}->at, .n = (size_t)v_{p.name}->n}}")
            taken += [f"(int){x}.n", f"{x}.arrays"]
        else:
            letter, member, take = LETTERS[p.type]
            letters += letter
            taken.append(take.format(x=x))
            if letter in "ILD":
                given.append(f"{{.{member} = {p.name}, .n = {params[i + 1].name}}}")
                taken.append(f"{x}.n")
                i += 1
            elif letter == "Y":
                given.append(f"{{.dtypes = {p.name}.has_value ? (const mx_dtype *)&{p.name}.value : NULL}}")
            elif letter in "JF":
                given.append(f"{{.{member} = {p.name}.has_value ? &{p.name}.value : NULL}}")
            else:
                given.append(f"{{.{member} = {'(int64_t)' if member == 'i' else ''}{p.name}}}")
        i += 1
    return letters, given, taken


def results_of(f):
    return [p for p in f.params if p.type in ("mlx_array*", "mlx_vector_array*")]


def is_recorded(f, direct):
    """Only what has arrays to follow, and gives some."""
    return bool(results_of(f)) and f.internal not in direct and any(p.handle in ("mlx_array", "mlx_vector_array") for p in f.params)


def recordable(f):
    """(the function that makes a call again, its row)."""
    results = results_of(f)
    letters, _, taken = recorded_arguments(f, f.params[len(results):])
    args = ", ".join(taken)
    if results[0].type == "mlx_vector_array*":
        body = f"return {f.internal}(s, out, {args});"
    elif len(results) == 1:
        body = f"return mx_capi_push(s, out, {f.internal}(s, {args}));"
    else:
        body = (f"mx_array *r[{len(results)}] = {{NULL}};\n  int rc = {f.internal}(s, r, {args});\n"
                f"  return rc ? rc : mx_capi_push_many(s, out, {len(results)}, r);")
    return (f"static int again_{f.tag}(mx_scope *s, const mx_argument *x, mx_list *out) {{\n  {body}\n}}",
            f'    {{"{f.tag}", "{letters}", again_{f.tag}}},')


def record(f, number):
    """What a wrapper does first while a function is traced for all shapes."""
    results = results_of(f)
    letters, given, _ = recorded_arguments(f, f.params[len(results):])
    if len(letters) > 24:
        raise ValueError(f"{f.where}: {f.name} has more arguments than mx_record takes")
    if results[0].type == "mlx_vector_array*":
        end = f"mx_capi_end_vector(&call, call.scope.rc, {results[0].name}, &again)"
    else:
        end = f"mx_capi_end_recorded(&call, {len(results)}, (mlx_array *[]){{{', '.join(p.name for p in results)}}}, &again)"
    return ["  if (__builtin_expect(mx_any_shape_wanted, 0)) {", "    mx_list again = {0};",
            f"    if (mx_record(&call.scope, {number}, (mx_argument[]){{{', '.join(given)}}}, &again))", f"      return {end};", "  }"]


def wrapper(f, pairs, number):
    taken = {"call", "out", "rc", "again"} & {p.name for p in f.params}
    if taken:
        raise ValueError(f"{f.where}: {f.name} has a parameter named like a variable of the wrapper: {taken}")
    results = [p for p in f.params if p.type in ("mlx_array*", "mlx_vector_array*")]
    rest = f.params[len(results):]
    if f.params[:len(results)] != results:
        raise ValueError(f"{f.where}: results come first in {f.name}")
    stream = next((p.name for p in rest if p.handle == "mlx_stream"), None)
    checks, args = pass_on(f, rest)
    begin = f'mx_capi_begin(&call, "{f.tag}", {stream})' if stream else f'mx_capi_begin_no_stream(&call, "{f.tag}")'
    body = ["  mx_capi call;", f"  {begin};"] + checks
    if number is not None:
        body += record(f, number)
    call = f"{f.internal}({', '.join(['&call.scope'] + args)})"
    if not results:                                          # acts on state: no node is built
        body += [f"  return mx_capi_end_plain(&call, call.scope.rc ? call.scope.rc : {call.replace('&call.scope, ', '')});"]
    elif results[0].type == "mlx_vector_array*":
        call = f"{f.internal}({', '.join(['&call.scope', '&out'] + args)})"
        body += ["  mx_list out = {0};", f"  int rc = call.scope.rc ? call.scope.rc : {call};",
                 f"  return mx_capi_end_vector(&call, rc, {results[0].name}, &out);"]
    elif len(results) == 1:
        body += [f"  mx_array *out = call.scope.rc ? NULL : {call};", f"  return mx_capi_end(&call, {results[0].name}, out);"]
    else:
        call = f"{f.internal}({', '.join(['&call.scope', 'out'] + args)})"
        body += [f"  mx_array *out[{len(results)}] = {{NULL}};", f"  int rc = call.scope.rc ? call.scope.rc : {call};",
                 f"  return mx_capi_end_many(&call, rc, {len(results)}, "
                 f"(mlx_array *[]){{{', '.join(p.name for p in results)}}}, out);"]
    text = "\n".join([f.prototype(" {")] + body + ["}"])
    if f.internal not in pairs:
        return text
    given = ", ".join(p.name for p in f.params)
    other = f"{f.name}_any"
    return (f"static {text.replace(f' {f.name}(', f' {other}(', 1)}\n\n{f.prototype(' {')}\n"
            f"  return mx_capi_pair({given}, OP_{f.internal.removeprefix('mx_')}, {other});\n}}")


def wrappers(ops):
    live = [(name, f) for name, parts in read(ops).items() for p in parts for f in p.functions if not f.todo]
    out = ["/* Written by tools/opgen.py from the tables in ops: each public function calls the graph function of",
           " * its name. src/capi/handles.h has the few helpers. */",
           '#include "capi/handles.h"', '#include "graph/recorded.h"'] + [f'#include "{h}"' for h in dict.fromkeys(TABLES.values())]
    out += [f'#include "mlx/c/{n}"' for n in dict.fromkeys(n for n, _ in live)]
    plain = direct(ops)
    again = [f for _, f in live if is_recorded(f, plain)]
    number, made = {f.name: i for i, f in enumerate(again)}, [recordable(f) for f in again]
    table = "\n".join(["const mx_recordable mx_recordables[] = {"] + [row for _, row in made]
                      + ['    {"extension", "vI", mx_capi_extension},', "};", f"const int mx_nrecordables = {len(again) + 1};"])
    return {"capi_ops.c": "\n\n".join(["\n".join(out)] + [wrapper(f, pairs(ops), number.get(f.name)) for _, f in live]
                                      + [text for text, _ in made] + [table]) + "\n"}


# ---- calls, for tests/c/capi_arguments_test.c --------------------------------------------------------------------

CHOICES = {"mlx_array": "some_array(g)", "mlx_vector_array": "some_vector(g)", "mlx_stream": "some_stream(g)",
           "mlx_dtype": "some_dtype(g)", "int": "some_int(g)", "size_t": "(size_t)some_int(g)", "bool": "some_int(g) & 1",
           "float": "(float)some_double(g)", "double": "some_double(g)", "uint64_t": "(uint64_t)some_int(g)",
           "const char*": "some_text(g)", "mlx_fft_norm": "(mlx_fft_norm)some_int(g)",
           "mlx_optional_int": "(mlx_optional_int){some_int(g), some_int(g) & 1}",
           "mlx_optional_float": "(mlx_optional_float){(float)some_double(g), some_int(g) & 1}",
           "mlx_optional_dtype": "(mlx_optional_dtype){some_dtype(g), some_int(g) & 1}"}

LISTS = {"const int*": "some_ints", "const int64_t*": "some_longs", "const double*": "some_doubles"}


def call(f):
    """A C function that calls f with chosen arguments and gives its results to the test."""
    before, args, results, i = [], [], [], 0
    while i < len(f.params):
        p = f.params[i]
        if p.type in ("mlx_array*", "mlx_vector_array*"):
            before.append(f"  {p.type[:-1]} {p.name} = {{NULL}};")
            args.append("&" + p.name)
            results.append(p)
        elif p.type in LISTS:
            before.append(f"  size_t {p.name}_num;")
            before.append(f"  {p.type[:-1]} *{p.name} = {LISTS[p.type]}(g, &{p.name}_num);")
            args += [p.name, p.name + "_num"]
            i += 1
        else:
            args.append(CHOICES[p.handle if p.handle in CHOICES else p.type])
        i += 1
    give = [f"  take_{'vector' if 'vector' in p.type else 'array'}(g, rc, {p.name});" for p in results]
    return "\n".join([f"static int call_{f.name}(chooser *g) {{"] + before
                     + [f"  int rc = {f.name}({', '.join(args)});"] + give + ["  return rc;", "}"])


def calls(ops):
    live = [f for parts in read(ops).values() for p in parts for f in p.functions if not f.todo]
    def needs(f, *kinds):
        return int(any(p.handle in kinds and not p.optional for p in f.params))
    rows = [f'    {{"{f.tag}", call_{f.name}, {needs(f, "mlx_stream")}, {needs(f, "mlx_array", "mlx_vector_array")}}},' for f in live]
    out = ["/* Written by tools/opgen.py from the tables in ops. */"] + [call(f) for f in live]
    out.append("static const struct {\n  const char *tag;\n  int (*call)(chooser *);\n  int needs_stream, needs_array;\n"
               "} calls[] = {\n" + "\n".join(rows) + "\n};\n")
    return {"capi_calls.inc.h": "\n\n".join(out)}
