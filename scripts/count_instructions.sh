#!/bin/sh
# Counts the instructions of a binary against the baseline, where there is a valgrind.
#   count_instructions.sh BINARY [--update]
set -eu
binary=$1
shift
if ! sh "$(dirname "$0")/need_valgrind.sh"; then
    # Without a way to count there is nothing to fail; whoever asked for a new baseline must hear it.
    [ $# = 0 ] || exit 1
    echo "SKIPPED: instructions were not counted, for want of valgrind"
    exit 0
fi
exec "$(sh "$(dirname "$0")/find_python.sh" "${PYTHON:-python3}")" "$(dirname "$0")/../benches/instructions.py" --binary "$binary" "$@"
