#!/usr/bin/env bash
# Installs what `make bench-media` compares with: vipsthumbnail, and sharp in a folder of the user's cache, which it prints.
set -euo pipefail

SHARP_VERSION=0.35.5
home=${XDG_CACHE_HOME:-$HOME/.cache}/grafikarsa/sharp-$SHARP_VERSION

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v vipsthumbnail >/dev/null || missing+=(libvips-tools)
command -v npm >/dev/null || missing+=(npm)
if [ "${#missing[@]}" -gt 0 ]; then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ ! -d "$home/node_modules/sharp" ]; then
    mkdir -p "$home"
    npm install --silent --no-audit --no-fund --prefix "$home" "sharp@$SHARP_VERSION" >/dev/null
fi
printf '%s\n' "$home"
