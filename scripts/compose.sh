#!/usr/bin/env bash
# Docker Compose with the files and settings of this installation: scripts/compose.sh ps
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
compose "$@"
