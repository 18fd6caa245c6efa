#!/bin/sh
# Makes the machine ready to build: distribution packages that are missing (Debian and Ubuntu, as root or
# with sudo), then .venv with what packaging/requirements*.txt list. WITH_CLANG=1: clang and its fuzzer, too;
# WITH_VALGRIND=1: valgrind.
# Prints what it cannot do itself.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

have() { command -v "$1" >/dev/null 2>&1; }

# A Python fit to build for: 3.11 or later, with venv and the C headers.
fit() {
  "$1" - >/dev/null 2>&1 <<'PY'
import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
sys.exit(not (sys.version_info >= (3, 11) and os.path.exists(header)))
PY
}

find_python() {
  for name in ${PYTHON:-} python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do
    if have "$name" && fit "$name"; then command -v "$name"; return 0; fi
  done
  return 1
}

missing=
need() { missing="$missing $*"; }
have cmake || need cmake
have ninja || need ninja-build
have "${CC:-cc}" || need gcc libc6-dev
have pkg-config || need pkg-config
[ -e /usr/include/cmocka.h ] || [ -e /usr/local/include/cmocka.h ] || need libcmocka-dev
if [ -n "${WITH_CLANG:-}" ]; then
  have clang || need clang
  ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer*.a \
    >/dev/null 2>&1 || need libclang-rt-14-dev
fi
[ -z "${WITH_VALGRIND:-}" ] || have valgrind || need valgrind
find_python >/dev/null || need python3 python3-venv python3-dev

if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ]; then as_root=; elif have sudo && sudo -n true 2>/dev/null; then as_root=sudo; else as_root=none; fi
  if [ "$as_root" = none ] || ! have apt-get; then
    echo "deps: please install:$missing" >&2
    exit 1
  fi
  echo "deps: installing$missing"
  export DEBIAN_FRONTEND=noninteractive
  $as_root apt-get update -qq
  # shellcheck disable=SC2086
  $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

python=$(find_python) || { echo "deps: no Python 3.11 or later with venv and headers was found" >&2; exit 1; }
if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "deps: making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r packaging/requirements.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r packaging/requirements-alone.txt
