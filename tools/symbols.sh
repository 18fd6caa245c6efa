#!/bin/sh
# Lists what a shared library exports; fails when a name is neither mlx_ nor _mlx_.
set -eu
names=$(nm -D --defined-only "$1" | awk '{print $3}' | sed 's/@.*//' | sort)
echo "$names"
stray=$(echo "$names" | grep -Ev '^_?mlx_' || true)
if [ -n "$stray" ]; then
  echo "exported, but not the library's to export:" $stray >&2
  exit 1
fi
