#!/usr/bin/env bash
# scale.sh SERVICE N: N replicas of auth, portfolio or media, without losing a request. `make up` keeps the number.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
service=${1:-} wanted=${2:-}
case $service in auth | portfolio | media) ;; *) die "usage: make scale SERVICE=auth|portfolio|media N=…" ;; esac
[[ $wanted =~ ^[1-9][0-9]?$ ]] || die "N must be a number from 1 to 99"

list=$(containers "$service")
mapfile -t running <<<"$list"
[ -n "$list" ] || die "$service does not run: make up first"
mkdir -p "$(dirname "$scale_file")"
touch "$scale_file"
remember() {
    { grep -v "^${service^^}_REPLICAS=" "$scale_file" || true; echo "${service^^}_REPLICAS=$wanted"; } >"$scale_file.new"
    mv "$scale_file.new" "$scale_file"
}
connections=$(setting DATABASE_MAX_CONNECTIONS 10)
if [ $((wanted * (connections + 4))) -gt 100 ]; then
    say "$wanted replicas may open $((wanted * (connections + 4))) connections; PostgreSQL takes 150 in all: see docs/operations.md"
fi
if [ "$wanted" -gt ${#running[@]} ]; then
    add_replicas "$service" $((wanted - ${#running[@]}))
elif [ "$wanted" -lt ${#running[@]} ]; then
    retire "$service" "${running[@]:0:$((${#running[@]} - wanted))}"
fi
remember
say "$service runs $wanted times."
