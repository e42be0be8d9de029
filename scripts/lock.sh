#!/bin/sh
# Pins what each group of pyproject.toml needs, for every supported Python at once.
#   lock.sh PATH_TO_UV
set -eu
uv=$1
pin() { # NAME SOURCE-OPTIONS...
    name=$1
    shift
    {
        echo "# Exact versions for the Makefile, written by \`make lock\` from pyproject.toml: do not edit."
        "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-emit-package execution-dataflow "$@"
    } >"requirements/$name.txt.new"
    mv "requirements/$name.txt.new" "requirements/$name.txt"
    echo "requirements/$name.txt"
}
mkdir -p requirements
pin lock --group pyproject.toml:lock
pin build --group pyproject.toml:build
pin lint pyproject.toml --extra cli --group pyproject.toml:lint
pin test pyproject.toml --extra demo --group pyproject.toml:test
pin docs pyproject.toml --extra cli --group pyproject.toml:docs
pin bench pyproject.toml --group pyproject.toml:bench
pin bench-peers pyproject.toml --group pyproject.toml:bench-peers
pin demo pyproject.toml --extra demo
pin examples pyproject.toml --extra examples
