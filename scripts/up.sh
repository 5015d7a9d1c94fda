#!/usr/bin/env bash
# Brings the stack up and waits until all of it is healthy. Refuses production with bad secrets; makes the certificate of the
# first start. Builds images that are missing (BUILD=no: fails instead).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
if [ "${ENV:-prod}" = prod ]; then
    "$root/scripts/check-settings.sh"
    "$root/scripts/cert.sh" self-signed
fi
[ "${BUILD:-yes}" != no ] || set -- --no-build "$@"
compose up --detach --wait --wait-timeout "${WAIT:-300}" --remove-orphans "$@"
