#!/usr/bin/env bash
# The whole series of random tables of tests/aliasing.rs: 200, on the CPU and on an adapter, if there is one; before it
# which columns go is held against R. Prints what was counted and ends with the test's own exit code. An argument is
# another number of tables.
set -euo pipefail
cd "$(dirname "$0")/../.."
export GPU_LOGREG_TABLES=${1:-200} NODEVICE_SELECT=1

if command -v Rscript > /dev/null; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    GPU_LOGREG_TABLES_TO=$folder cargo test --release --test aliasing
    Rscript tests/reference/aliasing.R "$folder"
else
    echo "SKIPPED: no Rscript, so the elimination was not held against R"
fi
cargo test --release --test aliasing -- --nocapture
