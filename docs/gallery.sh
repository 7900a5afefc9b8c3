#!/usr/bin/env bash
# Makes the pages and pictures of the gallery in the README, from the example data.
#
# docs/gallery.sh [FOLDER]: pages go to FOLDER (default: a temporary one), pictures to docs/gallery if there is a Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

pages=$(realpath "${1:-$(mktemp -d)}")
cargo build --release
program=$(realpath "${CARGO_TARGET_DIR:-target}/release/gpu-logreg")
train() { (cd examples && "$program" train --device cpu --quiet "$@" > /dev/null); }

train weather.parquet --label rain --features temp_max --report "$pages/one.html"
train weather.parquet --label rain --features temp_max,temp_min --split 0.2 --report "$pages/two.html"
train breast_cancer.parquet --label malignant --l2 0.01 --inference --report "$pages/thirty.html"
train breast_cancer.parquet --label malignant --max-iterations 1 --report "$pages/not-converged.html"
train iris.parquet --label species --features petal_length,petal_width --l2 0.001 --report "$pages/iris.html"
train digits.parquet --label digit --multinomial --l2 0.001 --split 0.3 --report "$pages/digits.html"
echo "pages are in $pages"

for browser in chromium chromium-browser google-chrome; do
    if command -v "$browser" > /dev/null; then break; fi
    browser=
done
if [ -z "$browser" ]; then
    echo "no Chromium, so no pictures"
    exit
fi
mkdir -p docs/gallery
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

# shoot PAGE#PART PICTURE HEIGHT [FLAG...]: in a frame, which goes to the part before the picture is taken
shoot() {
    local page=$1 picture=docs/gallery/$2.png height=$3
    shift 3
    echo "<body style='margin:0'><iframe style='border:0;width:100vw;height:100vh' src='file://$pages/$page'>" > "$profile/frame.html"
    "$browser" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --hide-scrollbars \
        --user-data-dir="$profile/user" --window-size="820,$height" "$@" --screenshot="$picture" "file://$profile/frame.html" 2> /dev/null
    echo "$picture: $(stat -c %s "$picture") bytes"
}
shoot one.html#pictures curve 620
shoot one.html#cost descent 1320
shoot two.html#pictures boundary 690
shoot iris.html#pictures regions 760
shoot digits.html#quality confusions 1000
shoot thirty.html#coefficients coefficients 1010
shoot two.html#quality quality 635 --blink-settings=preferredColorScheme=0
shoot thirty.html#cost search 1130 --blink-settings=preferredColorScheme=0
