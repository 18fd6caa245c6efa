"""Options and settings that all Python tests share."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

try:
    from hypothesis import settings
except ImportError:
    pass
else:
    settings.register_profile("quick", deadline=None, max_examples=50, derandomize=True, database=None)
    settings.register_profile("long", deadline=None, max_examples=5000, database=None)
    settings.load_profile("long" if os.environ.get("CMLX_LONG") else "quick")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow") or os.environ.get("CMLX_LONG"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def root():
    """The repository, for tests that read it."""
    return ROOT
