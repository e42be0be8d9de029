#!/bin/sh
# Unpacks the headers of C++ Taskflow from Debian's package, without installing anything.
#   fetch_cpp_taskflow.sh FOLDER     prints the include folder; exit 3 when they cannot be had here
# The package is in Debian since trixie; an older system asks that release's archive for it.
set -eu
folder=$1
installed=/usr/include/taskflow/taskflow.hpp
[ -f "$installed" ] && { echo /usr/include; exit 0; }
[ -f "$folder$installed" ] && { echo "$folder/usr/include"; exit 0; }
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then
    echo "C++ Taskflow is not in /usr/include: install its headers there (Debian: libtaskflow-cpp-dev)" >&2
    exit 3
fi
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
    sed -nE 's/^(URIs:|deb) +(\[[^]]*\] +)?(https?:[^ ]*\/debian\/?)( .*)?$/\3/p' | head -n 1)
[ -n "$mirror" ] || { echo "this system's sources of packages name no archive of Debian" >&2; exit 3; }
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
# apt's own user fetches into this folder.
chmod -R a+rwX "$folder"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror trixie main" >"$folder/sources.list"
apt() {
    command=$1
    shift
    "$command" -q -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache" "$@" >&2
}
(
    apt apt-get update
    cd "$folder"
    apt apt-get download libtaskflow-cpp-dev
    for package in libtaskflow-cpp-dev_*.deb; do dpkg -x "$package" .; done
) || { echo "the package libtaskflow-cpp-dev could not be had from Debian's archive" >&2; exit 3; }
rm -rf "$folder/lists" "$folder/cache"
echo "$folder/usr/include"
