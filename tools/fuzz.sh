#!/bin/sh
# Runs every fuzzer of BUILD/fuzzer for MINUTES, as many at a time as there are processors. Fails when one finds something.
#
#   tools/fuzz.sh BUILD
set -eu
build=$(cd "$1" && pwd)
mkdir -p "$build/fuzzer/found"
one() {
  name=$1 corpus=$build/fuzzer/corpus/$1
  mkdir -p "$corpus"
  "$build/fuzz/$name" --seeds "$corpus"
  if "$build/fuzzer/fuzz/$name" -max_total_time=$((${MINUTES:-10} * 60)) -max_len=16384 -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
    -artifact_prefix="$build/fuzzer/found/$name-" "$corpus" >"$build/fuzzer/$name.log" 2>&1; then
    echo "$name: nothing found in $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/fuzzer/$name.log") inputs"
  else
    echo "$name: see $build/fuzzer/$name.log" && tail -n 30 "$build/fuzzer/$name.log"
    return 1
  fi
}
if [ $# = 2 ]; then one "$2"; exit; fi
export MINUTES
ls "$build/fuzzer/fuzz" | xargs -n 1 -P "$(nproc)" "$0" "$build"
