#!/usr/bin/env bash
# Calibrate one share of a list of exposures: what each task of an array job does.
#
#     share.sh MANIFEST INDEX COUNT PIPELINE [OPTIONS...]
#
# MANIFEST names one exposure a line; blank lines and lines that begin with # do not count. Task INDEX
# (from 0) of COUNT takes every COUNT-th line, in one process: references are read once, and
# on a card they stay there. JWGPU is the command, "jwgpu" by default.
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "share.sh: give MANIFEST INDEX COUNT PIPELINE, then options of jwgpu" >&2
    exit 2
fi
manifest=$1 index=$2 count=$3
shift 3
if [ ! -r "$manifest" ]; then
    echo "share.sh: $manifest: no such manifest; write one with: ls /data/*_uncal.fits > manifest.txt" >&2
    exit 2
fi
mapfile -t exposures < <(
    awk -v i="$index" -v n="$count" '!/^[[:space:]]*(#|$)/ && k++ % n == i' "$manifest"
)
if [ ${#exposures[@]} -eq 0 ]; then
    echo "share.sh: nothing to do for task $index of $count"
    exit 0
fi
read -r -a command <<< "${JWGPU:-jwgpu}"
exec "${command[@]}" "$@" "${exposures[@]}"
