"""Peak memory of training steps, as the system sees it: what a process grows by after its imports, in four steps. The text step of
train_text.py, and the models of train_steps.py beside PyTorch (eager) and JAX (jit; what its compiler takes included)."""

import importlib
import subprocess
import sys

import harness

LIBRARIES = {"cmlx": "mlx.core", "torch": "torch", "jax": "jax.numpy"}
NAMES = {"torch": "PyTorch", "jax": "JAX"}
MODELS = {"mlp": "an MLP", "gpt": "a small GPT", "lstm": "an LSTM", "resnet": "a ResNet-20"}


def peak():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepared(who, model, compiled):
    if model == "text":
        import train_text
        return {"torch": train_text.torch, "cmlx": train_text.mlx}[who]()
    import train_steps
    return (train_steps.jax(model) if who == "jax" else {"cmlx": train_steps.mlx, "torch": train_steps.torch}[who](model, compiled))()


def child(who, model, how):
    importlib.import_module(LIBRARIES[who])
    before = peak()
    step = prepared(who, model, how == "compiled")
    for _ in range(4):
        step()
    print(peak() - before)


def grown(who, model, how="eager"):
    """MB, or None where `who` is not there."""
    if not harness.python_of(who).exists():
        return None
    answer = subprocess.run([harness.python_of(who), harness.HERE / "memory.py", who, model, how], text=True, cwd=harness.HERE,
                            env=harness.settings(who), capture_output=True)
    if answer.returncode:
        print(f"  {model}, {who}: {(answer.stderr.strip() or 'no word').splitlines()[-1]}", file=sys.stderr)
        return None
    return float(answer.stdout)


def measure():
    rows = [("text", "a text step", "eager", "torch")]
    rows += [(model, f"a step of {name}, {how}", how, other) for model, name in MODELS.items()
             for how, other in (("eager", "torch"), ("compiled", "jax"))]
    for model, name, how, other in rows:
        ours, theirs = grown("cmlx", model, how), grown(other, model)
        if ours and theirs:
            yield f"peak memory of {name} / {NAMES[other]}'s", ours, theirs, "MB"


if __name__ == "__main__":
    child(*sys.argv[1:])
