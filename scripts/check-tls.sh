#!/usr/bin/env bash
# One TLS provider in the graph: two cost minutes of build and panic at run time.
set -euo pipefail
if cargo tree --workspace --edges normal,build --prefix none --locked | grep -E '^(aws-lc-rs|aws-lc-sys|openssl-sys|native-tls) '; then
    echo "a second TLS provider has entered the graph; see the features in Cargo.toml" >&2
    exit 1
fi
