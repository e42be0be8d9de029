#!/bin/sh
# Runs the Python suite on each further interpreter that this machine has; one that it lacks is named and passed over.
#   test_versions.sh MATURIN PYTHON3.X...
# TESTS names the folders and files; all of them by default.
set -eu
maturin=$1
shift
ran=0
for name in "$@"; do
    python=$(sh scripts/find_python.sh "$name" 2>/dev/null) || {
        echo "--- $name: not on this machine, passed over"
        continue
    }
    echo "--- $name: $python"
    # Not in dist/: these wheels are built to be tested, not to be given away.
    CARGO_TARGET_DIR=target/$name "$python" scripts/build_wheel.py --maturin "$maturin" --out "target/$name/dist"
    "$python" scripts/make_venv.py ".venv-$name" --requirements requirements/test.txt --wheels "target/$name/dist"
    # shellcheck disable=SC2086 # several paths
    sh scripts/run_pytest.sh ".venv-$name" ${TESTS:-tests} --ignore=tests/integration/test_wheel_installed.py
    ran=$((ran + 1))
done
echo "--- the suite ran on $ran further interpreter(s)"
