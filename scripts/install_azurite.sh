#!/bin/sh
# Fetches Azurite, Microsoft's own emulator of Azure Blob Storage, for `make test-azure`.
#   install_azurite.sh [FOLDER]     FOLDER defaults to target/services; exit 3 when it cannot be had here
set -eu
folder=${1:-target/services}/azurite
version=3.35.0
[ "$(cat "$folder/version" 2>/dev/null)" = "$version" ] && exit 0
if ! command -v npm >/dev/null 2>&1; then
    echo "npm is not here: install Node.js, which Azurite needs" >&2
    exit 3
fi
echo "fetching azurite $version" >&2
mkdir -p "$folder"
npm install --prefix "$folder" --no-fund --no-audit --no-save --loglevel=error "azurite@$version" >&2 ||
    { echo "azurite $version could not be fetched by npm" >&2; exit 3; }
echo "$version" >"$folder/version"
