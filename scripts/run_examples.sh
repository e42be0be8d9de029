#!/bin/sh
# Runs every example as a reader would, each in a scratch folder, and fails with the first that fails.
#   run_examples.sh VENV
set -eu
python=$(pwd)/$1/bin/python
examples=$(pwd)/examples
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
ran=0
for script in "$examples"/*.py; do
    [ -e "$script" ] || break
    echo "--- examples/${script##*/}"
    (cd "$scratch" && "$python" "$script" </dev/null)
    ran=$((ran + 1))
done
echo "--- $ran example(s) ran"
