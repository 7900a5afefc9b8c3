#!/usr/bin/env bash
# Random tables whose paths are held against numpy (tests/reference/paths.py): 100 of them, with the program's release build. An argument is
# another number of tables, a second one the first seed.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release
python3 tests/reference/paths.py "${CARGO_TARGET_DIR:-target}/release/gpu-logreg" --count "${1:-100}" --seed "${2:-1}"
