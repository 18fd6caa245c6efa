"""Where mlx.core differs from the Python array API standard on purpose, with the reason."""

EXCEPTIONS = {
    "complex128": "MLX has no such dtype.",
}
