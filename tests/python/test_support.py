"""docs/ops.md says what works: it is made anew and compared."""

import support
import table
from structured_cases import CASES


def test_the_page_of_what_works_is_right():
    assert support.PAGE.read_text() == support.page(), "docs/ops.md is not what the ops do: run `make ops-page`"


def test_every_row_stands_on_the_page():
    # a primitive brings rules of its own: test_custom_primitive.py
    missing = set(table.structured) - {case.op for case in CASES} - set(support.OTHERS) - {"primitive"}
    assert sorted(missing) == []
