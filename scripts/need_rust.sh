#!/bin/sh
# Says what is missing before a build fails halfway for want of it.
set -eu
for tool in cargo rustc "$@"; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "error: $tool is not on PATH. The core is written in Rust: install the stable toolchain (rustup, or your distribution's packages)." >&2
        exit 1
    fi
done
for component in "$@"; do
    "$component" --version >/dev/null 2>&1 || {
        echo "error: $component does not run. Add it to the toolchain: rustup component add rustfmt clippy" >&2
        exit 1
    }
done
