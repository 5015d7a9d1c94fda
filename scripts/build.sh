#!/usr/bin/env bash
# Builds the images of the services; PULL=yes: on newer base images, if there are any.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
options=()
[ "${PULL:-no}" != yes ] || options=(--pull)
compose build "${options[@]}" auth portfolio media
