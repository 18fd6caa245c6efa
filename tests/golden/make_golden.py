"""Write golden.npz: the numbers of cases.py from an installed real MLX.

    python -m venv mlx-venv && mlx-venv/bin/pip install "mlx[cpu]==0.32.4" numpy
    mlx-venv/bin/python tests/golden/make_golden.py

All arrays lie in one vector, since a zip member for each of a thousand small ones would be mostly headers.
"""

import json
import os

import cases
import mlx.core as mx
import numpy as np

index, parts, start = [], [], 0
for name in cases.CASES:
    for path, x in cases.run(name).items():
        index.append([name, path, str(x.dtype), list(x.shape), start])
        parts.append(x.astype(np.float64).ravel())
        start += x.size
values = np.concatenate(parts)
assert np.array_equal(values, values.astype(np.float32), equal_nan=True)  # float32 holds all of them

file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.npz")
about = json.dumps({"mlx": mx.__version__, "index": index})
np.savez_compressed(file, values=values.astype(np.float32), about=np.frombuffer(about.encode(), np.uint8))
print(f"{len(cases.CASES)} cases, {len(index)} arrays, {start} values, {os.path.getsize(file)} bytes")
