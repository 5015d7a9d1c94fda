#!/bin/sh
# Starts nginx of production: writes what depends on the settings and on the moment to /run/nginx, and watches over it.
# `run.sh check` only says whether nginx would take it all.
set -eu
here=/etc/nginx/grafikarsa
run=/run/nginx

# nginx older than 1.27.4 closes idle connections the moment it is reloaded.
newer_than() { printf '%s\n%s\n' "$1" "$version" | sort -t. -k1,1n -k2,2n -k3,3n -c 2>/dev/null; }
version=$(nginx -v 2>&1 | sed 's!.*/\([0-9.]*\).*!\1!')

mkdir -p /var/cache/nginx/body /var/cache/nginx/proxy
{
    echo 'map $http_origin $cors_origin {'
    echo '    default "";'
    echo "${CORS_ORIGINS:-}" | tr ',' '\n' | tr -d ' ' | while read -r origin; do
        # Exact origins; anything else would be configuration.
        case $origin in
            '') ;;
            *[!A-Za-z0-9.:/-]*) echo "CORS_ORIGINS: $origin is no origin" >&2 && exit 1 ;;
            *) echo "    \"$origin\" \"$origin\";" ;;
        esac
    done
    echo '}'
    echo "limit_req_zone \$api_address zone=api:4m rate=${NGINX_API_RATE:-500}r/s;"
    echo "limit_req_zone \$storage_address zone=pictures:4m rate=${NGINX_STORAGE_RATE:-3000}r/s;"
    suffix=
    [ "${NGINX_HTTPS_PORT:-443}" = 443 ] || suffix=:$NGINX_HTTPS_PORT
    echo "map '' \$https_suffix { default '$suffix'; }"
    for proxy in $(echo "${TRUSTED_PROXIES:-}" | tr ',' ' '); do echo "set_real_ip_from $proxy;"; done
    [ -z "${TRUSTED_PROXIES:-}" ] || printf 'real_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n'
    if newer_than 1.27.4; then echo 'keepalive_min_timeout 5s;'; fi
} >"$run/settings.conf"

case ${NGINX_PLAIN:-} in
    '') echo 'include servers-tls.conf;' ;;
    *) echo 'include servers-plain.conf;' ;;
esac >"$run/servers.conf"
"$here/upstreams.sh" write
nginx -t -q -c "$here/nginx.conf"
[ "${1:-}" != check ] || exit 0
"$here/upstreams.sh" watch &
# On Kubernetes nginx would start one for each core of the node.
exec nginx -c "$here/nginx.conf" -g "daemon off; worker_processes ${NGINX_WORKERS:-auto};"
