#!/usr/bin/env bash
# The whole series of damaged files of tests/damage.rs: 20,000, with the library and a part of them with the program. Prints
# what was counted by kind of damage, and ends with the test's own exit code. An argument is another number of files, a
# second one the first of them.
set -euo pipefail
cd "$(dirname "$0")/../.."
export GPU_LOGREG_DAMAGED_FILES=${1:-20000} GPU_LOGREG_DAMAGED_FROM=${2:-0} NODEVICE_SELECT=1

if python3 -c 'import numpy, pyarrow' 2> /dev/null; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # The files with checksums say what their script says, whatever version of pyarrow wrote them.
    python3 tests/reference/damage.py "$folder"
    python3 - "$folder" << 'EOF'
import os, sys
import pyarrow.parquet as pq
for name in sorted(os.listdir("tests/reference/damage")):
    old, new = (pq.read_table(os.path.join(folder, name)) for folder in ("tests/reference/damage", sys.argv[1]))
    assert old.equals(new), name
EOF
else
    echo "SKIPPED: no pyarrow, so tests/reference/damage was not written again"
fi
cargo test --release --test damage -- --nocapture
