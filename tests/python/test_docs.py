"""The documents say what is so: the parts of tools/docs_check.py that need no compiler."""

import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import docs_check  # noqa: E402


@pytest.mark.parametrize("check", [docs_check.header_faults, docs_check.table_faults, docs_check.page_faults],
                         ids=lambda f: f.__name__)
def test_nothing_to_report(check):
    faults = list(check())
    assert not faults, "\n".join(faults)


def test_readme_python_example_runs(capfd):
    pytest.importorskip("mlx.core")
    for code in docs_check.blocks("python"):
        exec(compile(code, "README.md", "exec"), {})
    assert re.match(r"array\(\[(1\.0|1,|0\.99)", capfd.readouterr().out)    # of random data: now and then it is printed as 1


@pytest.mark.parametrize("header, missing", [
    ("/** Sum. */\nint mlx_sum(int a);\n", []),
    ("/** Handles. */\nint mlx_new(void);\nint mlx_free(int a);\n", []),
    ("int mlx_sum(int a);\n", ["mlx_sum"]),
    ("/** Sum. */\nint mlx_sum(int a);\n\nint mlx_max(int a);\n", ["mlx_max"]),
    ("typedef int (*mlx_f)(int);\n", []),
])
def test_the_check_tells_a_documented_function(header, missing):
    assert docs_check.undocumented(header) == missing
