#!/usr/bin/env bash
# Makes the wheel for systems with glibc 2.28 or later, installs it into an environment of its own and fits a model, from Python and by
# the program in it.
#
#     tests/campaigns/wheel.sh
#
# Needs a Rust toolchain, Python 3.11 and an index of packages: zig, which links against old C libraries, comes from there.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
built=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
venv=$built/python-wheel
python3 -m venv --clear "$venv"
export PATH="$venv/bin:$PATH"
pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' ziglang auditwheel
wheel=$(COMPATIBILITY=manylinux_2_28 bash python/build.sh --quiet | tail -n 1)
date +%F
ls -l "$wheel" | awk '{print $5, "bytes"}'
auditwheel show "$wheel"
pip install --quiet --disable-pip-version-check "$wheel"
cd /
python -c 'import gpu_logreg, numpy; y = numpy.arange(100) % 3 == 0; print(gpu_logreg.fit_table({"y": y, "x": numpy.sin(numpy.arange(100))}, label="y", device="cpu").status)'
gpu-logreg --version
objdump -T "$venv/bin/gpu-logreg" "$venv"/lib/python3*/site-packages/gpu_logreg/_core.abi3.so | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1
