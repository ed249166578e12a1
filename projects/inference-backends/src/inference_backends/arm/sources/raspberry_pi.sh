#!/bin/sh
# Time the kernels on a Raspberry Pi, or on any 64-bit ARM board with Linux and a C compiler.
#
#   scp -r sources pi:kernels && ssh pi sh kernels/raspberry_pi.sh > measured.json
#   groundwork run inference-backends/arm-pipeline-study --measured measured.json
#
# It prints one JSON object: the machine, the highest clock of its first core, the seconds of a call
# of each kernel of each build. Cores without the dot-product extension leave that build out.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[ "$(uname -m)" = aarch64 ] || { echo "this is $(uname -m); an aarch64 machine is wanted" >&2; exit 2; }

machine=$(uname -n)
model=/proc/device-tree/model
if [ -r "$model" ]; then machine=$(tr -d '\0' < "$model"); fi
clock=/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq
mhz=0
if [ -r "$clock" ]; then mhz=$(($(cat "$clock") / 1000)); fi

build() { # NAME SOURCE OPTIONS...
    name=$1 source=$2
    shift 2
    ${CC:-cc} -O3 "$@" -o "$folder/$name" timing.c "$source"
    "$folder/$name" "$name" "${SECONDS_EACH:-1}" >> "$folder/lines"
}

build plain plain.c -fno-tree-vectorize
build vectorized plain.c
build neon neon.c
if grep -q asimddp /proc/cpuinfo; then build dotprod dotprod.c -march=armv8.2-a+dotprod; fi

printf '{"machine": "%s", "mhz": %s, "kernels": [\n' "$machine" "$mhz"
sed '$!s/$/,/' "$folder/lines"
printf ']}\n'
