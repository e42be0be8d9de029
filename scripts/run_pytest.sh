#!/bin/sh
# Runs pytest of a virtual environment so that only what is installed there can be imported.
#   run_pytest.sh VENV [ARGUMENTS...]
set -eu
venv=$1
shift
# Started by its own script, pytest puts that script's folder on sys.path and not the work tree.
exec env -u PYTHONPATH -u PYTHONHOME PYTHONSAFEPATH=1 "$venv/bin/pytest" --rootdir . --config-file pyproject.toml "$@"
