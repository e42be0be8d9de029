#!/bin/sh
# Runs the Python suite on each further interpreter that this machine has; one that it lacks is named and passed over.
#   test_versions.sh MATURIN PYTHON3.X...
# TESTS names the folders and files, in parts that run side by side, with semicolons between; all of them by default. With STRICT=1 the build aborts when a Python object is dropped
# while detached.
set -eu
maturin=$1
shift
ran=0
build=
if [ -n "${STRICT:-}" ]; then
    export RUSTFLAGS="--cfg pyo3_disable_reference_pool"
    build=-strict
fi
for name in "$@"; do
    python=$(sh scripts/find_python.sh "$name" 2>/dev/null) || {
        echo "--- $name: not on this machine, passed over"
        continue
    }
    echo "--- $name: $python"
    # Not in dist/: these wheels are built to be tested, not to be given away.
    target=target/$name$build
    CARGO_TARGET_DIR=$target "$python" scripts/build_wheel.py --maturin "$maturin" --out "$target/dist"
    "$python" scripts/make_venv.py ".venv-$name$build" --requirements requirements/test.txt --wheels "$target/dist"
    "$python" scripts/run_suite.py ".venv-$name$build" --parts \
        "${TESTS:-tests/integration --ignore=tests/integration/test_wheel_installed.py;tests --ignore=tests/integration}"
    ran=$((ran + 1))
done
echo "--- the suite ran on $ran further interpreter(s)"
