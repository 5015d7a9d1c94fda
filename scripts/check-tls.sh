#!/usr/bin/env bash
# One TLS provider in the graph: two cost minutes of build and panic at run time.
set -euo pipefail
# On its own: within a condition a failure of cargo would pass for an empty graph.
graph="$(cargo tree --workspace --edges normal,build --prefix none --locked)"
if grep -E '^(aws-lc-rs|aws-lc-sys|openssl-sys|native-tls) ' <<<"$graph"; then
    echo "a second TLS provider has entered the graph; see the features in Cargo.toml" >&2
    exit 1
fi
