"""Building extensions against this package with setuptools and CMake."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Sequence

from setuptools import Extension
from setuptools.command.build_ext import build_ext


class CMakeExtension(Extension):
    """An extension module that a CMakeLists.txt in ``sourcedir`` builds."""

    def __init__(self, name: str, sourcedir: str = ""):
        super().__init__(name, sources=[])
        self.sourcedir = os.fspath(Path(sourcedir).resolve())


class CMakeBuild(build_ext):
    """``build_ext`` for :class:`CMakeExtension`; ``CMAKE_ARGS`` and ``CMAKE_BUILD_PARALLEL_LEVEL`` are heeded."""

    def build_extension(self, ext: CMakeExtension) -> None:
        import mlx

        # a full path, so that the library lands beside the extension also when built in place
        target = Path.cwd() / self.get_ext_fullpath(ext.name)
        configuration = "Debug" if self.debug else "Release"
        configure = [
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target.parent}{os.sep}",
            f"-DCMAKE_BUILD_TYPE={configuration}",
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DBUILD_SHARED_LIBS=ON",
            "-DCMAKE_PREFIX_PATH=" + ";".join(mlx.__path__),
            *os.environ.get("CMAKE_ARGS", "").split(),
        ]
        build = ["--config", configuration]
        if "CMAKE_BUILD_PARALLEL_LEVEL" not in os.environ:
            build.append(f"-j{os.cpu_count()}")
        folder = Path(self.build_temp) / ext.name
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cmake", ext.sourcedir, *configure], cwd=folder, check=True)
        subprocess.run(["cmake", "--build", ".", *build], cwd=folder, check=True)

    def run(self) -> None:
        super().run()
        # an editable install needs the libraries beside the sources
        if self.inplace:
            for ext in self.extensions:
                if isinstance(ext, CMakeExtension):
                    built = Path(self.get_ext_fullpath(ext.name)).parent
                    package = Path(self.build_lib).joinpath(*ext.name.split(".")[:-1])
                    for file in package.glob("*.so"):
                        self.copy_file(os.fspath(file), os.fspath(built / file.name))


class MetalLibrary:
    """Metal sources that go with an extension; there is no compiler for them outside Apple's systems."""

    def __init__(
        self,
        name: str,
        sources: Sequence[os.PathLike[str] | str],
        *,
        extra_compile_args: Sequence[str] = (),
        deployment_target: str | None = None,
    ):
        self.name = name
        self.sources = [os.fspath(s) for s in sources]
        self.extra_compile_args = list(extra_compile_args)
        self.deployment_target = deployment_target


class MetalExtension(Extension):
    """An extension module with Metal libraries, which are built where that is possible."""

    def __init__(
        self,
        name: str,
        sources: Sequence[os.PathLike[str] | str],
        *args,
        metal_libraries: Sequence[MetalLibrary] | None = None,
        **kwargs,
    ):
        super().__init__(name, [os.fspath(s) for s in sources], *args, **kwargs)
        self.metal_libraries = list(metal_libraries or [])


class BuildExtension(build_ext):
    """``build_ext`` with the headers and the library of this package."""

    @classmethod
    def with_options(cls, **options):
        """The command with some options given beforehand."""

        class Command(cls):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **{**kwargs, **options})

        return Command

    def __init__(self, *args, **kwargs):
        self.options = {k: kwargs.pop(k) for k in ("no_python_abi_suffix",) if k in kwargs}
        super().__init__(*args, **kwargs)

    def build_extension(self, ext: Extension) -> None:
        import mlx

        if getattr(ext, "metal_libraries", None) and sys.platform != "darwin":
            raise RuntimeError(f"Metal libraries of {ext.name} can only be built on macOS.")
        for root in map(Path, mlx.__path__):
            if (root / "include").is_dir():
                ext.include_dirs.append(os.fspath(root / "include"))
            if (root / "lib").is_dir():
                ext.library_dirs.append(os.fspath(root / "lib"))
                ext.runtime_library_dirs.append(os.fspath(root / "lib"))
        if "cmlx" not in ext.libraries:
            ext.libraries.append("cmlx")
        super().build_extension(ext)

    def run(self) -> None:
        super().run()
