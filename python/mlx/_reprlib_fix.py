"""Lets `reprlib` (and the tools that print through it, such as pytest) show our arrays.

`reprlib` picks its printer by a type's name, and takes anything named "array" for one of the standard library's
`array.array`, whose typecode it then asks for.
"""

import array
import reprlib

_standard = reprlib.Repr.repr_array


def _repr_array(self, x, maxlevel):
    if isinstance(x, array.array):
        return _standard(self, x, maxlevel)
    text = repr(x)
    if len(text) <= self.maxother:
        return text
    head = max(0, (self.maxother - 3) // 2)
    return text[:head] + "..." + text[len(text) - max(0, self.maxother - 3 - head) :]


reprlib.Repr.repr_array = _repr_array
