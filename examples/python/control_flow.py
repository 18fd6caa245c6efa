"""Loops and branches inside the graph: a spring whose friction is found by differentiating through its simulation.

`mx.scan` runs a step for each point of time as one node of the graph, with gradients; `mx.while_loop` runs until something
is true; `mx.cond` computes one of two branches; `mx.associative_scan` finds all prefixes in a logarithmic number of rounds.
All of them work with grad, vmap and compile, and in functions that are exported to a file. They go beyond MLX.
"""

import argparse
import tempfile
from pathlib import Path

import mlx.core as mx
from progress import Progress

DT = 0.05


def step(state: tuple[mx.array, mx.array], push: mx.array, constants: mx.array) -> tuple[mx.array, mx.array]:
    """Position and speed a moment later; a spring that is stretched too far gets stiff."""
    place, speed = state
    stiffness, friction = constants[0], constants[1]
    pull = mx.cond(
        mx.abs(place) > 1,
        lambda x: -stiffness * x * x * x,
        lambda x: -stiffness * x,
        place,
    )
    speed = speed + DT * (pull - friction * speed + push)
    return place + DT * speed, speed


def simulate(constants: mx.array, pushes: mx.array) -> mx.array:
    """Where the spring is at each time."""

    def body(state: tuple[mx.array, mx.array], push: mx.array) -> tuple[tuple[mx.array, mx.array], mx.array]:
        state = step(state, push, constants)
        return state, state[0]

    places: mx.array = mx.scan(body, (mx.array(0.0), mx.array(0.0)), pushes)[1]
    return places


def rest_time(constants: mx.array) -> mx.array:
    """How long it takes, let go at 0.9, until it hardly moves."""

    def moving(state: tuple[mx.array, ...]) -> mx.array:
        place, speed, time = state
        return (mx.abs(place) + mx.abs(speed) > 0.01) & (time < 100)

    def onward(state: tuple[mx.array, ...]) -> tuple[mx.array, ...]:
        place, speed, time = state
        return (*step((place, speed), mx.array(0.0), constants), time + DT)

    time: mx.array = mx.while_loop(moving, onward, (mx.array(0.9), mx.array(0.0), mx.array(0.0)))[2]
    return time


def smoothed(x: mx.array, keep: float) -> mx.array:
    """y[t] = keep * y[t - 1] + (1 - keep) * x[t]: the composition of affine maps is associative."""

    def then(a: tuple[mx.array, mx.array], b: tuple[mx.array, mx.array]) -> tuple[mx.array, mx.array]:
        return a[0] * b[0], b[0] * a[1] + b[1]

    y: mx.array = mx.associative_scan(then, (mx.full(x.shape, keep), (1 - keep) * x))[1]
    return y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--times", type=int, default=400)
    args = parser.parse_args()

    mx.random.seed(0)
    true = mx.array([2.0, 0.3])
    pushes = 2 * mx.random.normal((8, args.times))
    observe = mx.vmap(simulate, in_axes=(None, 0))
    seen = observe(true, pushes)
    seen = seen + 0.05 * mx.random.normal(seen.shape)
    clean = mx.vmap(lambda x: smoothed(x, 0.5))
    noise, rest = seen - observe(true, pushes), clean(seen) - clean(observe(true, pushes))
    print(f"noise {mx.std(noise).item():.3f}, smoothed {mx.std(rest).item():.3f}")

    def loss_fn(constants: mx.array) -> mx.array:
        return mx.mean(mx.square(observe(constants, pushes) - seen))

    value_and_grad = mx.compile(mx.value_and_grad(loss_fn))
    constants, speed = mx.array([1.0, 1.0]), mx.zeros(2)
    progress = Progress(args.steps, "fitting")
    for i in range(args.steps):
        loss, grad = value_and_grad(constants)
        speed = 0.8 * speed - 0.03 * grad / mx.maximum(mx.linalg.norm(grad), 0.1)
        constants = mx.maximum(constants + speed, 0.01)
        mx.eval(constants, speed)
        progress.show(i + 1, f"loss {loss.item():.4f}")
    stiffness, friction = constants.tolist()
    print(f"stiffness {stiffness:.3f} (is 2), friction {friction:.3f} (is 0.3)")
    once, twice = rest_time(constants).item(), rest_time(constants * mx.array([1, 2])).item()
    print(f"comes to rest after {once:.1f} s, with twice the friction after {twice:.1f} s")

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "spring")
        mx.export_function(file, simulate, constants, pushes[0])
        (again,) = mx.import_function(file)(constants, pushes[1])
    assert mx.allclose(again, simulate(constants, pushes[1])).item()
    assert args.steps < 200 or (abs(stiffness - 2) < 0.1 and abs(friction - 0.3) < 0.05)


if __name__ == "__main__":
    main()
