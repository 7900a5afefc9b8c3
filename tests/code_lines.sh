#!/bin/sh
# Counts the lines of code of src/ and shaders/ without comments, blank lines and what stands under #[cfg(test)].
#
#     tests/code_lines.sh [COMMIT]       the working tree, or a commit
#
# For each folder at the top, then for all. As rustfmt lays the text out, an item under #[cfg(test)] ends with the first line
# of its own indentation that ends it.
set -eu
cd "$(dirname "$0")/.."
commit=${1:-}

list() { if [ -n "$commit" ]; then git ls-tree -r --name-only "$commit" src shaders; else find src shaders -type f; fi; }
text() { if [ -n "$commit" ]; then git show "$commit:$1"; else cat "$1"; fi; }

list | grep -E '\.(rs|wgsl)$' | sort | while read -r file; do
    echo "@ $file"
    text "$file"
done | awk '
    /^@ (src|shaders)\// {
        split($2, parts, "/")
        room = parts[1] == "shaders" || parts[2] ~ /\.rs$/ ? parts[1] : parts[1] "/" parts[2]
        until = ""
        next
    }
    { match($0, /^ */); indent = RLENGTH; line = substr($0, indent + 1) }
    line == "" || line ~ /^\/\// { next }
    until != "" {
        if (indent == until && line !~ /^#/ && line ~ /[};]$/) until = ""
        next
    }
    line == "#[cfg(test)]" { until = indent; if (indent == 0) until = "0"; next }
    { lines[room]++; all++ }
    END { for (room in lines) print lines[room] "\t" room | "sort -k2"; close("sort -k2"); print all "\tall" }'
