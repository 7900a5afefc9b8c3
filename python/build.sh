#!/usr/bin/env bash
# Makes the wheel: the module, and the program beside the interpreter. Its path is printed last.
#
#     python/build.sh [FURTHER ARGUMENTS OF maturin build]
#
# Needs a Rust toolchain and maturin (`pip install maturin`).
set -euo pipefail
cd "$(dirname "$0")/.."
built=${CARGO_TARGET_DIR:-target}
cargo build --release --bin gpu-logreg >&2
mkdir -p python/gpu_logreg.data/scripts
cp "$built/release/gpu-logreg" python/gpu_logreg.data/scripts/
strip python/gpu_logreg.data/scripts/gpu-logreg 2> /dev/null || true
rm -rf "$built/wheels"
maturin build --release --manifest-path python/Cargo.toml --out "$built/wheels" "$@" >&2
ls "$built"/wheels/*.whl
