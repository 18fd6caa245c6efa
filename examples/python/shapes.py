"""Small pictures that cost nothing to get: a coloured circle, square, triangle or cross, somewhere, in some size, on noise."""

import mlx.core as mx
import numpy as np

SHAPES = ["circle", "square", "triangle", "cross"]
COLOURS = {"red": (1.0, 0.1, 0.1), "green": (0.1, 0.9, 0.2), "blue": (0.2, 0.3, 1.0), "white": (1.0, 1.0, 1.0)}


def masks(kind: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points belong to the shape of each picture; x and y from its middle, in units of its size."""
    circle = x * x + y * y < 1
    square = np.maximum(np.abs(x), np.abs(y)) < 0.85
    triangle = (y < 0.8) & (y > 2 * np.abs(x) - 1)
    cross = (np.minimum(np.abs(x), np.abs(y)) < 0.3) & (np.maximum(np.abs(x), np.abs(y)) < 1)
    return np.choose(kind[:, None, None], [circle, square, triangle, cross])


def pictures(
    n: int, size: int = 16, noise: float = 0.1, seed: int = 0, still: bool = False
) -> tuple[mx.array, mx.array, mx.array]:
    """n pictures (n, size, size, 3) in [0, 1], the number of each one's shape, and of its colour. still: all in the middle."""
    rng = np.random.default_rng(seed)
    shape, colour = rng.integers(0, len(SHAPES), n), rng.integers(0, len(COLOURS), n)
    radius = rng.uniform(0.28, 0.4, (n, 1, 1)) * (size if not still else 1.15 * size)
    middle = rng.uniform(0.4, 0.6, (2, n, 1, 1)) if not still else np.full((2, n, 1, 1), 0.5)
    grid = np.arange(size) + 0.5
    inside = masks(shape, (grid - middle[0] * size) / radius, (grid[:, None] - middle[1] * size) / radius)
    paint = np.array(list(COLOURS.values()))[colour][:, None, None] * rng.uniform(0.7, 1, (n, 1, 1, 1))
    image = np.where(inside[..., None], paint, 0.1) + noise * rng.normal(size=(n, size, size, 3))
    return (
        mx.array(np.clip(image, 0, 1).astype(np.float32)),
        mx.array(shape.astype(np.int32)),
        mx.array(colour.astype(np.int32)),
    )
