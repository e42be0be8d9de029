#!/bin/sh
# Runs the Python suite on each further interpreter that this machine has; one that it lacks is named and passed over.
#   test_versions.sh MATURIN PYTHON3.X...
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
    CARGO_TARGET_DIR=target/$name "$python" scripts/build_wheel.py --maturin "$maturin" --out dist
    "$python" scripts/make_venv.py ".venv-$name" --requirements requirements/test.txt --wheels dist
    sh scripts/run_pytest.sh ".venv-$name" tests
    ran=$((ran + 1))
done
echo "--- the suite ran on $ran further interpreter(s)"
