"""A Llama of 135M parameters (llm_models.py) on two threads, through mlx-lm's own loop, against llama.cpp through llama-cpp-python: a token of
greedy decoding, and 512 tokens of a prompt to the first token. Reading is a sum over as many bytes as a token's weights have."""

import itertools
import time

import llm_models

ONE_COUNT = True     # of threads
TOKENS, PROMPT, ROUNDS = 24, 512, 9
PAIRS = [("4-bit", 4, "Q4_0"), ("8-bit", 8, "Q8_0"), ("bf16", 16, "BF16")]
CLAIMS = [(f"{what} {name}", f"{what}, llama.cpp {theirs}", 1.0) for what in ("decode", "prefill") for name, _, theirs in PAIRS]
CLAIMS += [(f"decode {name}", f"reading {name} weights", 1 / 0.6) for name, *_ in PAIRS]


def prompt(n):
    return [i * 7919 % llm_models.VOCABULARY for i in range(n)]


def per_token(generator):
    """A function that draws the next tokens and returns the seconds that one took; it starts anew when a sequence ends."""
    tokens = iter(())

    def step():
        nonlocal tokens
        start = time.perf_counter()
        if len(list(itertools.islice(tokens, TOKENS))) < TOKENS:
            tokens = generator()
            next(tokens)
            start = time.perf_counter()
            list(itertools.islice(tokens, TOKENS))
        return (time.perf_counter() - start) / TOKENS
    return step


def ours(bits):
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    from mlx_lm.utils import load_model
    model, _ = load_model(llm_models.HOME / f"mlx-{bits}")
    return lambda n, count: generate_step(mx.array(prompt(n)), model, max_tokens=count)


def theirs(name):
    from llama_cpp import Llama
    model = Llama(str(llm_models.HOME / f"{name}.gguf"), n_ctx=llm_models.CONTEXT, n_batch=PROMPT, n_ubatch=PROMPT, n_threads=2, n_threads_batch=2,
                  verbose=False)

    def generate(n, count):
        model.reset()
        return itertools.islice(model.generate(prompt(n), temp=0.0, repeat_penalty=1.0), count)
    return generate


def decode(load, which):
    def prepare():
        generate = load(which)
        return per_token(lambda: generate(16, 500))
    return prepare


def prefill(load, which):
    def prepare():
        generate = load(which)
        return lambda: next(iter(generate(PROMPT, 1))) and None
    return prepare


def reading(bits):
    def prepare():
        import mlx.core as mx
        arrays = [mx.ones((int(llm_models.weight_bytes(bits)) // 4,)) * i for i in range(2)]
        mx.eval(arrays)
        turn = itertools.cycle(arrays)
        return lambda: mx.eval(next(turn).sum())
    return prepare


CONTESTANTS = {}
for _name, _bits, _file in PAIRS:
    CONTESTANTS[f"decode {_name}"] = ("cmlx", decode(ours, _bits))
    CONTESTANTS[f"decode, llama.cpp {_file}"] = ("llama", decode(theirs, _file))
    CONTESTANTS[f"reading {_name} weights"] = ("cmlx", reading(_bits))
    CONTESTANTS[f"prefill {_name}"] = ("cmlx", prefill(ours, _bits))
    CONTESTANTS[f"prefill, llama.cpp {_file}"] = ("llama", prefill(theirs, _file))


def prepare():
    """Called once before the contestants start."""
    llm_models.make()
