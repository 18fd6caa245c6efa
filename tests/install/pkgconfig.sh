#!/bin/sh
# Builds main.c as pkg-config says and runs it. Arguments: prefix, output.
set -eu
config=$(find "$1" -name cmlx.pc)
PKG_CONFIG_PATH=$(dirname "$config")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
${CC:-cc} -std=c17 "$(dirname "$0")/main.c" -o "$2" $(pkg-config --cflags --libs cmlx)
LD_LIBRARY_PATH=$(pkg-config --variable=libdir cmlx) "$2"
