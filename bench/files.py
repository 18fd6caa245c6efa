"""Half a gigabyte of weights to and from a safetensors file, beside the format's own library and the bare copying of bytes. The files are in memory
where the system has such a folder, so that no disk is measured. What is loaded is summed as well: the format's library maps files, and bytes
that nobody has touched are not loaded yet."""

import atexit
import os
import shutil
import tempfile

TENSORS, SHAPE = 125, (1024, 1024)
ONE_COUNT = True     # of threads
ROUNDS = 9
CLAIMS = [
    ("save 500 MB", "write of the bytes", 1.1),
    ("save 500 MB", "save, safetensors of NumPy", 1.0),
    ("save 500 MB", "save, safetensors of PyTorch", 1.0),
    ("load 500 MB", "read of the bytes", 1.1),
    ("load 500 MB and sum", "load and sum, safetensors of NumPy", 1.0),
    ("load 500 MB and sum", "load and sum, safetensors of PyTorch", 1.0),
]


def folder():
    return os.environ["CMLX_BENCH_FILES"]


def arrays():
    import numpy
    return {f"weights.{i}": numpy.full(SHAPE, i, "float32") for i in range(TENSORS)}


def prepare():
    """The file that all read."""
    import json
    os.environ["CMLX_BENCH_FILES"] = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    atexit.register(shutil.rmtree, folder(), ignore_errors=True)
    given = arrays()
    size = next(iter(given.values())).nbytes
    header = json.dumps({name: {"dtype": "F32", "shape": SHAPE, "data_offsets": [i * size, (i + 1) * size]} for i, name in enumerate(given)})
    header += " " * (-len(header) % 8)
    with open(given_file(), "wb") as f:
        f.write(len(header).to_bytes(8, "little") + header.encode())
        for x in given.values():
            f.write(x.data)


def given_file():
    return os.path.join(folder(), "given.safetensors")


def own_file():
    return os.path.join(folder(), f"{os.getpid()}.safetensors")


def removing(save):
    """Every save makes its file anew, and leaves none."""
    def step():
        import time
        start = time.perf_counter()
        save(own_file())
        took = time.perf_counter() - start
        os.remove(own_file())
        return took
    return step


def save():
    import mlx.core as mx
    given = {name: mx.array(x) for name, x in arrays().items()}
    mx.eval(given)
    return removing(lambda path: mx.save_safetensors(path, given))


def save_numpy():
    from safetensors.numpy import save_file
    given = arrays()
    return removing(lambda path: save_file(given, path))


def save_torch():
    import torch
    from safetensors.torch import save_file
    given = {name: torch.from_numpy(x) for name, x in arrays().items()}
    return removing(lambda path: save_file(given, path))


def write():
    given = arrays()

    def plainly(path):
        with open(path, "wb", buffering=0) as f:
            for x in given.values():
                f.write(x.data)
    return removing(plainly)


def load():
    import mlx.core as mx
    return lambda: mx.eval(mx.load(given_file()))


def load_sum():
    import mlx.core as mx
    return lambda: mx.eval([mx.sum(x) for x in mx.load(given_file()).values()])


def load_sum_numpy():
    from safetensors.numpy import load_file
    return lambda: ([x.sum() for x in load_file(given_file()).values()], None)[1]


def load_sum_torch():
    from safetensors.torch import load_file
    return lambda: ([x.sum() for x in load_file(given_file()).values()], None)[1]


def read():
    import numpy
    room = [numpy.empty(SHAPE, "float32") for _ in range(TENSORS)]

    def step():
        with open(given_file(), "rb", buffering=0) as f:
            for x in room:
                f.readinto(x.data)
    return step


CONTESTANTS = {
    "save 500 MB": ("cmlx", save), "write of the bytes": ("cmlx", write), "save, safetensors of NumPy": ("numpy", save_numpy),
    "save, safetensors of PyTorch": ("torch", save_torch), "load 500 MB": ("cmlx", load), "read of the bytes": ("cmlx", read),
    "load 500 MB and sum": ("cmlx", load_sum), "load and sum, safetensors of NumPy": ("numpy", load_sum_numpy),
    "load and sum, safetensors of PyTorch": ("torch", load_sum_torch),
}
