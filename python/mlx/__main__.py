"""``python -m mlx``: where the package's parts are, for builds that use them."""

import argparse
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlx


def _first(*parts):
    """The path of a part of the package, which may lie in any of the namespace's folders."""
    for root in mlx.__path__:
        path = Path(root).joinpath(*parts)
        if path.exists():
            return path
    return Path(next(iter(mlx.__path__))).joinpath(*parts)


def _version():
    try:
        return version("mlx")
    except PackageNotFoundError:
        import mlx.core as mx

        return mx.__version__


def main():
    parser = argparse.ArgumentParser(prog="python -m mlx")
    parser.add_argument("--version", action="store_true", help="Print the version number.")
    parser.add_argument("--cmake-dir", action="store_true", help="Print the path of the CMake package.")
    parser.add_argument("--include-dir", action="store_true", help="Print the path of the C headers.")
    parser.add_argument("--library-dir", action="store_true", help="Print the path of the shared library.")
    args = parser.parse_args()
    if args.version:
        print(_version())
    if args.cmake_dir:
        print(_first("share", "cmake", "cmlx"))
    if args.include_dir:
        print(_first("include"))
    if args.library_dir:
        print(_first("lib"))
    if not any(vars(args).values()):
        parser.print_help()


if __name__ == "__main__":
    main()
