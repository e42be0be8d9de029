#!/bin/sh
# Makes sure that valgrind is there: installs it from Debian's packages where that is possible.
#   exit 0: it is there; exit 3: it is not, and cannot be had here
set -eu
command -v valgrind >/dev/null 2>&1 && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing valgrind" >&2
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends valgrind >&2 || true
    command -v valgrind >/dev/null 2>&1 && exit 0
fi
echo "valgrind is not here and could not be installed (Debian: apt-get install valgrind)" >&2
exit 3
