#!/bin/sh
# Gives every kernel, for every kind of table, to the compilers of other systems: spirv-val, Tint (of Chromium), RADV's for an
# AMD card, and FXC and DXC of Windows under Wine. What has no translation here has none on that system.
#
#     tests/campaigns/compilers.sh [LIMIT]        seconds that FXC may take for a kernel: 10
#
# Three texts are controls: a barrier that some invocations miss, which Tint must refuse, a store through an index that varies,
# which FXC must refuse, and workgroup memory that is cleared, which must take it longer than the limit.
#
# Needs cargo, and of Debian spirv-tools, wine64, gcc-mingw-w64-x86-64, gcc, libvulkan-dev, mesa-vulkan-drivers and npm (the packages `webgpu` and its compilers are
# fetched from the registry that npm is set up for). What is missing is left out by name.
set -eu
cd "$(dirname "$0")/../.."
limit=${1:-10}
here=$PWD/tests/campaigns/compilers
work=${CARGO_TARGET_DIR:-target}/compilers
mkdir -p "$work"
work=$(cd "$work" && pwd)
failed=0
fail() { failed=$((failed + 1)) && echo "FAILED: $*"; }

rm -rf "$work/shaders" && mkdir "$work/shaders"
SHADERS_INTO="$work/shaders" cargo test --quiet --release --test shaders -- --ignored write_for_other_compilers > /dev/null
kernels=$(cd "$work/shaders" && ls -- *.wgsl | sed 's/\.wgsl$//')
echo "$(echo "$kernels" | wc -l) variants of the kernels"

if command -v spirv-val > /dev/null; then
    for name in $kernels; do
        spirv-val --target-env vulkan1.0 "$work/shaders/$name.spv" || fail "spirv-val: $name"
    done
    echo "spirv-val: $(spirv-val --version | head -n 1)"
else
    echo "spirv-val is missing: left out"
fi

if [ ! -d "$work/node_modules/webgpu" ] && command -v npm > /dev/null; then
    npm install --silent --prefix "$work" webgpu > /dev/null 2>&1 || echo "npm cannot fetch webgpu"
fi
if [ -d "$work/node_modules/webgpu" ]; then
    cp "$here/tint.mjs" "$work/tint.mjs"
    (cd "$work" && node tint.mjs shaders) > "$work/tint" || fail "Tint: $(grep -v ' ok$' "$work/tint")"
    rm -rf "$work/control" && mkdir "$work/control"
    cp "$work/shaders/probe.constants" "$work/control"
    sed 's/workgroupBarrier();/if (lane > 3u) { workgroupBarrier(); }/' "$work/shaders/probe.wgsl" > "$work/control/probe.wgsl"
    if (cd "$work" && node tint.mjs control) > /dev/null 2>&1; then fail "Tint takes a barrier that some miss"; fi
    echo "Tint: $(grep -c ' ok$' "$work/tint") accepted (webgpu $(sed -n 's/.*"version": "\(.*\)".*/\1/p' "$work/node_modules/webgpu/package.json"))"
else
    echo "Tint is missing: left out"
fi

radeon=$(ls /usr/share/vulkan/icd.d/radeon_icd.*.json 2> /dev/null | head -n 1)
if [ -n "$radeon" ] && cc -O1 -o "$work/radv" "$here/radv.c" -lvulkan 2> /dev/null; then
    # A card that is not there: its compiler runs, nothing else does.
    if (cd "$work/shaders" && VK_ICD_FILENAMES=$radeon RADV_FORCE_FAMILY=NAVI21 RADV_DEBUG=shaderstats,nocache \
        "$work/radv" $(echo "$kernels" | sed 's/$/.spv/')) > "$work/radv.txt" 2>&1; then
        awk 'BEGIN { printf "%-32s %9s %7s %9s %8s %12s\n", "RADV, a NAVI21 card", "registers", "spilled", "workgroup", "waves", "instructions" }
            /^kernel / { name = $2; sub(/\.spv$/, "", name) }
            /^VGPRs:/ { registers = $2 }
            /^Spilled VGPRs:/ { spilled = $3; all += $3 }
            /^LDS size:/ { bytes = $3 }
            /^Subgroups per SIMD:/ { waves = $4 }
            /^Instructions:/ { printf "%-32s %9d %7d %9d %8d %12d\n", name, registers, spilled, bytes, waves, $2 }
            END { exit all > 0 }' "$work/radv.txt" || fail "RADV spills registers"
    else
        fail "RADV: $(tail -n 1 "$work/radv.txt")"
    fi
else
    echo "RADV, cc or the Vulkan headers are missing: left out"
fi

wine=$(command -v wine64 || ls /usr/lib/wine/wine64 2> /dev/null || true)
if [ -z "$wine" ] || [ ! -d "$work/node_modules/webgpu" ] || ! command -v x86_64-w64-mingw32-gcc > /dev/null; then
    echo "Wine, the compilers of Windows or mingw are missing: left out"
    exit $((failed > 0))
fi
x86_64-w64-mingw32-gcc -O1 -o "$work/hlsl.exe" "$here/hlsl.c"
cp "$work"/node_modules/webgpu/dist/win32-x64/*.dll "$work"
export WINEPREFIX="$work/wine" WINEDEBUG=-all WINEDLLOVERRIDES="d3dcompiler_47=n;mscoree,mshtml="
compile() { (cd "$work" && timeout -s KILL "$1" "$wine" hlsl.exe "$2" "shaders/$3.hlsl" 2> "$work/complaint" < /dev/null); }
compile 120 fxc advance > /dev/null || fail "Wine does not run the compilers: $(cat "$work/complaint")"
printf '%-40s %8s %8s\n' "seconds of" FXC DXC
for name in $kernels; do
    row=
    for compiler in fxc dxc; do
        if seconds=$(compile 120 $compiler "$name"); then
            row="$row $(printf '%8s' "$seconds" | tr -d '\r')"
            if awk "BEGIN { exit !($(echo "$seconds" | tr -d '\r') > $limit) }"; then
                fail "$compiler takes longer than $limit s: $name"
            fi
        else
            row="$row    FAILED"
            fail "$compiler refuses $name: $(head -c 300 "$work/complaint")"
        fi
    done
    printf '%-40s%s\n' "$name" "$row"
done
if compile 120 fxc control-indexed > /dev/null; then fail "FXC takes a store through an index that varies"; fi
echo "control, an indexed store: FXC says $(head -n 1 "$work/complaint" | tr -d '\r' | sed 's/.*error/error/' | cut -c 1-80)"
if compile "$limit" fxc control-cleared > /dev/null 2>&1; then
    fail "FXC clears workgroup memory within $limit s"
else
    echo "control, cleared memory: FXC does not end within $limit s"
fi
echo "$failed failures"
exit $((failed > 0))
