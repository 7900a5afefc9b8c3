#!/usr/bin/env bash
# Passes the tests of the Python package: makes the wheel, installs it into an environment of its own, and runs what is in
# python/tests. Needs Python 3.11 or later and an index of packages, and says so where they are not there.
set -euo pipefail
cd "$(dirname "$0")/.."
skip() {
    echo "SKIPPED: the Python package, $1"
    exit 0
}
found=
for python in python3.11 python3.12 python3.13 python3.14 python3; do
    if "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
        found=$python
        break
    fi
done
[ -n "$found" ] || skip "which needs Python 3.11"
root=$PWD
mkdir -p "${CARGO_TARGET_DIR:-target}"
built=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
venv=$built/python-tests
[ -x "$venv/bin/python" ] || "$found" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' 2> /dev/null ||
    skip "which needs an index to install maturin from"
wheel=$(PATH="$venv/bin:$PATH" bash python/build.sh --quiet | tail -n 1)
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel[test]"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"

# From elsewhere than the sources, so that what is tested is what was installed.
mkdir -p "$venv/work"
cp python/pyproject.toml "$venv/work/"
cd "$venv/work"
export NODEVICE_SELECT=1
"$venv/bin/python" -m mypy --strict -p gpu_logreg
"$venv/bin/python" -m mypy.stubtest gpu_logreg._core
"$venv/bin/python" -m pytest -q -p no:cacheprovider --rootdir "$root/python" "$root/python/tests" "$@"
