#!/bin/sh
# Prints the path of a CPython that can build and run this project.
#   find_python.sh [NAME]     NAME: a command or a path; `python3` (the default) may be replaced by a newer one
set -eu
wanted=${1:-python3}

# The interpreter's own path, if it starts, is new enough and can make virtual environments.
probe() {
    "$1" -c '
import ensurepip, sys, venv
ok = sys.implementation.name == "cpython" and sys.version_info >= (3, 11)
sys.stdout.write(sys.executable) if ok else sys.exit(1)' 2>/dev/null
}

# A shim of pyenv answers only for the versions that are selected: look beneath it.
beneath_pyenv() {
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"${1#python}"*/bin/"$1"; do
        [ -x "$candidate" ] && probe "$candidate" && return 0
    done
    return 1
}

probe "$wanted" && exit 0
case $wanted in
python3) for name in python3.14 python3.13 python3.12 python3.11; do
    probe "$name" && exit 0
    beneath_pyenv "$name" && exit 0
done ;;
python3.*) beneath_pyenv "$wanted" && exit 0 ;;
esac

if version=$("$wanted" -c 'import platform; print(platform.python_implementation(), platform.python_version())' 2>/dev/null); then
    echo "error: $wanted is $version, but CPython 3.11 or newer with the venv and ensurepip modules is needed." >&2
    echo "Install one (Debian: python3-venv) and name it: make PYTHON=/path/to/python3.12 ..." >&2
else
    echo "error: $wanted does not run. Name an interpreter, 3.11 or newer: make PYTHON=/path/to/python3.12 ..." >&2
fi
exit 1
