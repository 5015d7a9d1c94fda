#!/usr/bin/env bash
# The certificate of the site.
#   cert.sh self-signed   makes the fallback of the first start, if there is none or another name stands in it
#   cert.sh letsencrypt   gets one for DOMAIN from Let's Encrypt, while the stack runs; renewed by COMPOSE_PROFILES=letsencrypt
#   cert.sh show          who issued the one in use, and until when it is valid
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
domain=$(setting DOMAIN localhost)
folder=$root/deploy/state/self-signed

case ${1:-} in
    self-signed)
        if [ -e "$folder/fullchain.pem" ] && openssl x509 -in "$folder/fullchain.pem" -noout -checkend 2592000 >/dev/null; then
            [[ $(openssl x509 -in "$folder/fullchain.pem" -noout -checkhost "$domain") != *"does match"* ]] || exit 0
        fi
        command -v openssl >/dev/null || die "openssl is missing: install it first."
        mkdir -p "$folder"
        (
            umask 077
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=$domain" \
                -addext "subjectAltName=DNS:$domain" -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null
        )
        say "A self-signed certificate for $domain was made; browsers warn until \`make cert\` has got a real one."
        ;;
    letsencrypt)
        email=$(setting CERT_EMAIL "$(setting ADMIN_EMAIL)")
        compose run --rm --no-deps --entrypoint certbot certbot certonly --webroot --webroot-path /var/www/acme \
            --domain "$domain" --email "$email" --agree-tos --non-interactive --keep-until-expiring
        say "nginx takes the new certificate within a second. COMPOSE_PROFILES=letsencrypt in .env renews it."
        ;;
    show)
        compose exec -T nginx sh -c 'cat "$(sed -n "s/^ssl_certificate \(.*\);/\1/p" /run/nginx/tls.conf)"' |
            openssl x509 -noout -subject -issuer -enddate
        ;;
    *) sed -n '2,5s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
