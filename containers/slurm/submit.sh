#!/usr/bin/env bash
# Submit an array job that calibrates the exposures of a manifest.
#
#     ls /data/*_uncal.fits > manifest.txt
#     IMAGE=~/jwgpu.sif CRDS_PATH=/crds slurm/submit.sh manifest.txt [TASKS] [options of sbatch...]
#
# TASKS is the number of tasks, 8 by default and never more than exposures. PIPELINE and OPTIONS
# say what to run: PIPELINE=guider OPTIONS="--offline --device auto".
set -euo pipefail

manifest=${1:?give a manifest: a file that names one exposure a line}
tasks=${2:-8}
shift $(($# < 2 ? $# : 2))
exposures=$(grep -cv -E '^[[:space:]]*(#|$)' "$manifest" || true)
if [ "$exposures" -eq 0 ]; then
    echo "submit.sh: $manifest names no exposure" >&2
    exit 2
fi
((tasks > exposures)) && tasks=$exposures
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export MANIFEST=$manifest JWGPU_CONTAINERS=${here%/slurm}
exec "${SBATCH:-sbatch}" --array="0-$((tasks - 1))" "$@" "$here/calibrate.sbatch"
