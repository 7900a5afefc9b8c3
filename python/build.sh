#!/usr/bin/env bash
# Makes the wheel: the module, and the program beside the interpreter. Its path is printed last.
#
#     python/build.sh [FURTHER ARGUMENTS OF maturin build]
#
# TARGET is a target of Rust other than this machine's; COMPATIBILITY, manylinux_2_28 say, is the oldest system that the wheel is
# for, whose C library zig links against (`pip install ziglang`).
#
# Needs a Rust toolchain and maturin (`pip install maturin`).
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
built=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
target=${TARGET:-}
compatibility=${COMPATIBILITY:-}

# maturin makes a wheel of the module or one of the program, not of both: the program out of its own goes into the other.
scripts=python/gpu_logreg._core.data/scripts
rm -rf "$built/wheels" "$scripts"
mkdir -p "$scripts"
if [ -n "$compatibility" ]; then
    options=(--release --zig --compatibility "$compatibility" ${target:+--target "$target"})
    maturin build "${options[@]}" --bindings bin --manifest-path Cargo.toml --out "$built/wheels/program" >&2
    python -m zipfile -e "$built"/wheels/program/*.whl "$built/wheels/program"
    cp "$built"/wheels/program/*.data/scripts/gpu-logreg* "$scripts/"
    chmod +x "$scripts"/*
else
    options=(--release ${target:+--target "$target"})
    # With the module, so that both need one build of what they share.
    cargo build --release --package gpu-logreg --package gpu-logreg-python --bin gpu-logreg ${target:+--target "$target"} >&2
    find "$built/${target:+$target/}release" -maxdepth 1 \( -name gpu-logreg -o -name gpu-logreg.exe \) -exec cp {} "$scripts/" \;
    strip "$scripts/gpu-logreg" 2> /dev/null || true
fi
maturin build "${options[@]}" --manifest-path python/Cargo.toml --out "$built/wheels" "$@" >&2
ls "$built"/wheels/*.whl
