#!/usr/bin/env bash
# A long series of the odd tables of tests/reference/odd_tables.py, which `.ci/run` begins: 1,000 of them, with the program's
# release build, against pyarrow and Newton's method. An argument is another number of tables, a second one the first seed.
set -euo pipefail
cd "$(dirname "$0")/../.."
export NODEVICE_SELECT=1
cargo build --release
python3 tests/reference/odd_tables.py "${CARGO_TARGET_DIR:-target}/release/gpu-logreg" --count "${1:-1000}" --seed "${2:-100}"
