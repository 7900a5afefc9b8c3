#!/usr/bin/env bash
# Passes the tests, on a machine with nothing but a Rust toolchain and a C compiler. Arguments go to `cargo test`.
#
# GPU checks need an adapter. If none is found and this script may (root, or sudo without a password), it installs
# the software Vulkan adapter of Mesa; if it may not, it says so and the GPU checks show as ignored.
set -euo pipefail
cd "$(dirname "$0")/.."

# Mesa's device-selection layer looks for a display that a server does not have, and prints an error about it.
export NODEVICE_SELECT=1

# Not `cargo build`: the tests need more of some crates, and would build those a second time.
cargo test --release --no-run "$@"
adapter_found() { "${CARGO_TARGET_DIR:-target}/release/gpu-logreg" devices --json | grep -q '"usable": true'; }

install_software_adapter() {
    local as_root=()
    if ! command -v apt-get > /dev/null; then
        echo "tests: no GPU adapter, and no apt-get to install one; install your system's software Vulkan driver (lavapipe)"
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! sudo -n true 2> /dev/null; then
            echo "tests: no GPU adapter; to run the GPU checks: sudo apt-get install mesa-vulkan-drivers"
            return
        fi
        as_root=(sudo -n)
    fi
    echo "tests: no GPU adapter; installing mesa-vulkan-drivers"
    "${as_root[@]}" apt-get update -q > /dev/null || true
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -q -y --no-install-recommends mesa-vulkan-drivers libvulkan1 > /dev/null ||
        echo "tests: mesa-vulkan-drivers could not be installed; the GPU checks are ignored"
}

adapter_found || install_software_adapter
if adapter_found; then
    # From here on a GPU check that finds no adapter is a failure, not something to skip.
    export GPU_LOGREG_REQUIRE_GPU=1
fi

cargo test --release --no-fail-fast "$@"
