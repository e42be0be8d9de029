#!/bin/sh
# Sees to it that the servers which the tests start are there: PostgreSQL and Redis.
#   install_services.sh [FOLDER]     FOLDER defaults to target/services; exit 3 when they cannot be had here
# Where the packages may not be installed they are unpacked into the folder, where tests/services.py looks for them.
# Nothing is started: the tests start their own servers, on ports and with data of their own.
set -eu
folder=${1:-target/services}

there() {
    command -v "$1" >/dev/null 2>&1 && return
    for place in /usr/lib/postgresql/*/bin "$folder"/usr/lib/postgresql/*/bin "$folder"/usr/bin "$folder"/usr/sbin; do
        [ -x "$place/$1" ] && return
    done
    return 1
}

missing=
there initdb && there postgres || missing=postgresql
there redis-server || missing="$missing redis-server"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then
    echo "not found:$missing. Install it, or the tests that need it are skipped" >&2
    exit 3
fi
echo "fetching $missing" >&2

if [ "$(id -u)" = 0 ]; then
    # Debian's packages make a cluster and start servers by themselves unless they are told not to.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    {
        apt-get -q update
        # shellcheck disable=SC2086 # one or two names
        apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold install $missing
    } >&2 || { echo "Debian's packages could not be installed:$missing" >&2; exit 3; }
    exit 0
fi

# What these need and the system lacks comes along: without root rights apt only says what that would be.
folder=$(mkdir -p "$folder" && cd "$folder" && pwd)
apt="$folder/apt"
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
set -- -q -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives" -o Debug::NoLocking=true
{
    apt-get "$@" update
    # shellcheck disable=SC2086 # one or two names
    apt-get "$@" -y --no-install-recommends --download-only install $missing
    for package in "$apt"/archives/*.deb; do dpkg -x "$package" "$folder"; done
} >&2 || { echo "Debian's packages could not be had:$missing" >&2; exit 3; }
rm -rf "$apt"
there postgres && there redis-server || { echo "the packages do not hold what was looked for:$missing" >&2; exit 3; }
