"""What is installed: one library, nothing but mlx_ exported, metadata that pip and importers expect."""

import importlib.metadata as metadata
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

mlx = pytest.importorskip("mlx")
mx = pytest.importorskip("mlx.core")
ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = pathlib.Path(mx.__file__).parent
LIBRARY = PACKAGE / "lib" / "libcmlx.so"
CMAKE = (ROOT / "CMakeLists.txt").read_text()
SANITIZED = pathlib.Path("/proc/self/maps").read_text().count("libasan") > 0


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout


def test_mlx_is_a_namespace_package():
    assert getattr(mlx, "__file__", None) is None


def test_one_copy_of_the_library_is_loaded():
    loaded = {line.split()[-1] for line in pathlib.Path("/proc/self/maps").read_text().splitlines() if "libcmlx" in line}
    assert loaded == {str(LIBRARY.resolve())}


def test_versions():
    offered = re.search(r"CMLX_MLX_VERSION ([\d.]+)", CMAKE)[1]
    ours = re.search(r"project\(cmlx VERSION ([\d.]+)", CMAKE)[1]
    assert mx.__version__ == offered
    assert mx.cmlx_version == ours
    assert f'version = "{offered}"' in (ROOT / "packaging/mlx-meta/pyproject.toml").read_text()


def test_pip_sees_mlx_as_installed():
    if "site-packages" not in str(PACKAGE):
        pytest.skip("not installed: imported from a build folder")
    assert metadata.version("mlx") == mx.__version__
    assert metadata.version("cmlx") == mx.cmlx_version


@pytest.mark.skipif(not shutil.which("nm"), reason="needs nm")
def test_only_mlx_names_are_exported():
    names = [line.split()[-1].split("@")[0] for line in run("nm", "-D", "--defined-only", LIBRARY).splitlines()]
    assert names
    assert not [n for n in names if not re.match(r"_?mlx_", n)]


@pytest.mark.skipif(SANITIZED or not shutil.which("readelf"), reason="needs readelf and a plain build")
@pytest.mark.parametrize("path", [LIBRARY, PACKAGE / "core.abi3.so"], ids=lambda p: p.name)
def test_links_against_libc_alone(path):
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", path))
    assert not [n for n in needed if not re.match(r"(libc|libm|libpthread|libdl|libcmlx|ld-linux.*)\.so", n)]


@pytest.mark.skipif(SANITIZED, reason="a sanitized library is larger")
def test_library_is_small():
    if "site-packages" in str(PACKAGE):      # stripped
        assert LIBRARY.stat().st_size < 5_000_000


def test_headers_are_in_the_package():
    if "site-packages" in str(PACKAGE):
        assert (PACKAGE / "include/mlx/c/array.h").exists()


@pytest.mark.parametrize("name", ["mlx.launch", "mlx.distributed_config"])
def test_console_scripts_start(name):
    script = pathlib.Path(sys.executable).parent / name
    if not script.exists() or "site-packages" not in str(PACKAGE):
        pytest.skip("not installed")
    assert "usage" in run(script, "--help").lower()


def test_import_does_not_load_numpy():
    assert run(sys.executable, "-c", "import sys, mlx.core; print('numpy' in sys.modules)").strip() == "False"
