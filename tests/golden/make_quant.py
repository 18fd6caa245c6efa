"""Write quant.npz: what the real MLX makes of the matrix of quant_cases.py. Run as make_golden.py.

Words are kept whole, one byte stream for all arrays; an index says what lies where."""

import json
import os

import mlx.core as mx
import numpy as np
import quant_cases

index, parts, start = [], [], 0
for name in quant_cases.CASES:
    for x in quant_cases.arrays(name):
        data = np.ascontiguousarray(x).view(np.uint8).ravel() if x.ndim else np.frombuffer(x.tobytes(), np.uint8)
        index.append([name, str(x.dtype), list(x.shape), start])
        parts.append(data)
        start += data.size
file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "quant.npz")
about = json.dumps({"mlx": mx.__version__, "index": index})
np.savez_compressed(file, data=np.concatenate(parts), about=np.frombuffer(about.encode(), np.uint8))
print(f"{len(quant_cases.CASES)} cases, {len(index)} arrays, {start} bytes, {os.path.getsize(file)} in the file")
