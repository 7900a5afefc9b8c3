#!/usr/bin/env bash
# The whole series of random tables of tests/separation.rs: 2,000 of two classes and 300 of three, on the CPU and on an
# adapter, if there is one, against the linear programme; before it the programme itself against HiGHS, where Python has
# scipy and pandas. Prints what was counted and ends with the test's own exit code. An argument is another number of tables.
set -euo pipefail
cd "$(dirname "$0")/../.."
export GPU_LOGREG_TABLES=${1:-2000} NODEVICE_SELECT=1

if python3 -c 'import pandas, pyarrow, scipy' 2> /dev/null; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    GPU_LOGREG_TABLES_TO=$folder cargo test --release --test separation
    python3 tests/reference/separation.py "$folder"
else
    echo "SKIPPED: no scipy, pandas and pyarrow, so the programme was not held against HiGHS"
fi
cargo test --release --test separation -- --nocapture
