#!/usr/bin/env bash
# Checks the files of deployment against the code, without Docker: syntax of the scripts, settings that everybody knows, the
# rights at NATS, the words of the secrets check; and what Compose says, where it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
fail() { echo "check-deploy: $*" >&2; failed=1; }
same() { # WHAT ONE OTHER
    [ "$2" = "$3" ] || { fail "$1:"; diff <(echo "$2") <(echo "$3") >&2 || true; }
}

for script in scripts/*.sh deploy/*.sh; do bash -n "$script" || fail "$script"; done
# Run by the shell of the images, which is no bash.
for script in scripts/init-*.sh scripts/objects.sh nginx/*.sh deploy/seaweedfs/*.sh; do
    sh -n "$script" || fail "$script"
    [ "$(head -n 1 "$script")" = '#!/bin/sh' ] || fail "$script: its first line is not #!/bin/sh"
done

# What the services read: names in capitals in the files that read settings, up to their tests.
readers=(libs/config/src/reader.rs libs/http/src/settings.rs libs/http/src/database.rs libs/events/src/settings.rs
    libs/telemetry/src/settings.rs services/*/src/settings.rs services/portfolio/src/realtime/settings.rs services/*/src/limits.rs services/auth/src/cli.rs)
read_by_code=$(for file in "${readers[@]}"; do sed '/#\[cfg(test)\]/,$d' "$file"; done | grep -v '^ *//' |
    grep -oE '"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+"' | tr -d '"' | sort -u)
documented=$(sed -n 's/^#\{0,1\}\([A-Z][A-Z0-9_]*\)=.*/\1/p' .env.example | sort -u)
# Read by Compose, the scripts and the allocator alone.
of_docker=$(sed -n '/^# -- the installation on Docker/,/^# -- where it runs/s/^#\{0,1\}\([A-Z][A-Z0-9_]*\)=.*/\1/p' .env.example)
known=$(printf '%s\n' "$of_docker" MIMALLOC_PURGE_DELAY "$read_by_code" | sort -u)
same ".env.example (left) and what the code reads (right) differ" "$documented" "$known"

# Each setting of the services reaches a container.
for name in $read_by_code; do
    case $name in APP_HOST | APP_PORT | INTERNAL_PORT) continue ;; esac # fixed in the containers
    grep -qE "^  $name: " deploy/compose.yaml || fail "deploy/compose.yaml passes no $name"
done
# And each setting of Docker is used by somebody.
for name in $of_docker; do
    grep -rqE "\b$name\b" deploy scripts nginx --include='*.yaml' --include='*.sh' --include='*.conf' || fail "nobody reads $name of .env.example"
done

development=$(grep -oE '(publish|subscribe): \[.*' libs/devstack/src/nats.rs)
# What a service may beyond the others, from the arms of the match: publish, then subscribe.
extra() { # SERVICE NUMBER
    { grep -E "^ +\"$1\" => \(" libs/devstack/src/nats.rs || true; } | sed -E 's/.*=> \((.*)\),$/\1/' |
        sed -E -e 's/r#"([^#]*)"#/<\1>/g' -e 's/""/<>/g' | { grep -oE '<[^<]*>' || true; } | sed -n "$2{s/^<//;s/>\$//;p}"
}
for service in auth portfolio media; do
    publish=$(extra $service 1) subscribe=$(extra $service 2)
    expected=${development//\{service\}/$service}
    expected=${expected//\{publish\}/$publish}
    expected=${expected//\{subscribe\}/$subscribe}
    same "rights of $service at NATS: development (left), production (right)" "$expected" \
        "$(sed -n "/user: $service,/,/} }/p" deploy/nats/nats.conf | grep -oE '(publish|subscribe): \[.*')"
done

words() { sed -n "/const $1:/,/];/p" libs/config/src/reader.rs | sed 's/.*= *\[/[/' | grep -oE '"[^"]+"' | tr -d '"' | paste -sd'|'; }
same "well-known secrets" "$(words WELL_KNOWN)" "$(sed -n "s/^well_known='\(.*\)'/\1/p" scripts/check-settings.sh)"
same "words that are guessed first" "$(words GUESSED_FIRST)" "$(sed -n "s/^guessed_first='\(.*\)'/\1/p" scripts/check-settings.sh)"

# The memory of what always runs.
total=$(awk '/^  [a-z-]+:$/ { name = $1 } /^    mem_limit: [0-9]+m$/ && name ~ /^(postgres|nats|store|auth|portfolio|media|nginx):$/ {
    sub("m", "", $2); total += $2 } END { print total }' deploy/compose.yaml)
[ "$total" -gt 0 ] && [ "$total" -le 2048 ] || fail "the memory limits sum up to $total MB"

if docker compose version >/dev/null 2>&1; then
    secrets=$(mktemp -d)
    trap 'rm -rf "$secrets"' EXIT
    ENV_FILE=$secrets/env scripts/make-env.sh sekolah.example >/dev/null
    for store in minio seaweedfs garage; do
        for environment in prod dev; do
            for observability in true false; do
                ENV_FILE=$secrets/env OBJECT_STORE=$store ENV=$environment OBSERVABILITY=$observability scripts/compose.sh config --quiet ||
                    fail "docker compose config: $store, $environment, observability $observability"
            done
        done
    done
else
    echo "check-deploy: Docker Compose is not installed; its files were not read." >&2
fi

# Kubernetes: settings that the services know, and manifests that its API takes, where somebody is installed who can tell.
for name in $(cat deploy/kubernetes/overlays/school/*.env deploy/kubernetes/overlays/school/*.env.example | grep -oE '^[A-Z][A-Z0-9_]*' | sort -u); do
    grep -qxF "$name" <<<"$known" || fail "deploy/kubernetes: nobody reads $name"
done
if command -v kubectl >/dev/null; then
    tree=$(mktemp -d)
    cp -r deploy nginx "$tree/"
    for file in "$tree"/deploy/kubernetes/overlays/school/*.env.example; do cp "$file" "${file%.example}"; done
    manifests=$(kubectl kustomize "$tree/deploy/kubernetes/overlays/school") || fail "kubectl kustomize deploy/kubernetes/overlays/school"
    if command -v kubernetes-validate >/dev/null; then
        kubernetes-validate --strict --quiet - <<<"$manifests" || fail "deploy/kubernetes: not what the API takes"
    fi
    rm -rf "$tree"
fi
[ $failed = 0 ] && echo "The files of deployment are in order."
exit $failed
