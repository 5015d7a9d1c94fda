#!/bin/sh
# Which containers nginx passes requests to, and with which certificate it answers. Open-source nginx looks names up once and
# asks nobody for his health, so this does it: a replica comes in when it is ready, and leaves when its name is gone from
# Docker's DNS or it is listed in /run/nginx/leaving.
#   write   writes /run/nginx/{upstreams,tls}.conf, for an nginx that is about to start
#   update  takes what is new, with a reload; what nginx does not accept is not taken, and ends with 1
#   watch   update every second, every ten while it fails
#   show    the addresses in use, one "SERVICE ADDRESS" a line
set -u
run=/run/nginx
here=/etc/nginx/grafikarsa
touch "$run/leaving" "$run/current"

addresses() { # NAME: the addresses of its containers
    { getent ahostsv4 "$1" 2>/dev/null || nslookup -type=a "$1" 2>/dev/null | sed -n 's/^Address: \([0-9.]*\)$/\1 x/p'; } |
        awk '{ print $1 }' | sort -u
}

is_ready() { # SERVICE ADDRESS: only newcomers are asked: a database that rests makes no replica leave
    grep -qxF "$1 $2" "$run/current" && return
    [ "$1" = store ] || curl -fsS --max-time 2 -o /dev/null "http://$2:$(probe "$1")/readyz" 2>/dev/null
}

port() { case $1 in auth) echo 3001 ;; portfolio) echo 3002 ;; media) echo 3003 ;; store) echo 9000 ;; esac; }
probe() { case $1 in auth) echo 9001 ;; portfolio) echo 9002 ;; media) echo 9003 ;; esac; }

answers() { # SERVICE ADDRESS: whatever it says
    if [ "$1" = store ]; then url=http://$2:9000/; else url=http://$2:$(probe "$1")/healthz; fi
    curl -sS --max-time 2 -o /dev/null "$url" 2>/dev/null
}

find_servers() {
    for service in auth portfolio media store; do
        found=$(addresses "$service")
        # Nobody may be there, or DNS has failed: then those in use tell themselves.
        [ -n "$found" ] || found=$(awk -v s="$service" '$1 == s { print $2 }' "$run/current" |
            while read -r address; do if answers "$service" "$address"; then echo "$address"; fi; done)
        for address in $found; do
            if ! grep -qxF "$address" "$run/leaving" && is_ready "$service" "$address"; then echo "$service $address"; fi
        done
    done
}

upstream() { # NAME SERVICE OPTIONS
    echo "upstream $1 {"
    servers=$(awk -v s="$2" -v p="$(port "$2")" '$1 == s { print "    server " $2 ":" p " max_fails=0;" }' "$run/found")
    # Nothing listens on port 1: a service that is not there is one that is down.
    echo "${servers:-    server 127.0.0.1:1 max_fails=0;}"
    echo "    $3"
    echo "}"
}

certificate() {
    [ -z "${NGINX_PLAIN:-}" ] || return 0
    folder=/etc/letsencrypt/live/${DOMAIN:-localhost}
    [ -e "$folder/fullchain.pem" ] || folder=/etc/letsencrypt/self-signed
    # The name of a renewed certificate stays, so its age belongs here.
    echo "# $(stat -L -c %Y "$folder/fullchain.pem")"
    echo "ssl_certificate $folder/fullchain.pem;"
    echo "ssl_certificate_key $folder/privkey.pem;"
}

prepare() {
    find_servers >"$run/found"
    {
        upstream auth auth 'keepalive 16; keepalive_timeout 15s;'
        upstream portfolio portfolio 'keepalive 32; keepalive_timeout 15s;'
        upstream media media 'keepalive 16; keepalive_timeout 15s;'
        upstream object_store store ''
    } >"$run/upstreams.new"
    certificate >"$run/tls.new"
}

write() {
    prepare
    mv "$run/upstreams.new" "$run/upstreams.conf"
    mv "$run/tls.new" "$run/tls.conf"
    mv "$run/found" "$run/current"
}

# Each by itself: a broken certificate keeps no replica out.
take() { # NAME
    cmp -s "$run/$1.new" "$run/$1.conf" && return
    cp "$run/$1.conf" "$run/$1.old"
    mv "$run/$1.new" "$run/$1.conf"
    if nginx -t -q -c "$here/nginx.conf"; then
        new="$new $1"
    else
        mv "$run/$1.old" "$run/$1.conf"
        refused="$refused $1"
    fi
}

update() {
    prepare
    new= refused=
    take upstreams
    take tls
    if [ -n "$new" ]; then
        kill -HUP "$(cat "$run/nginx.pid")" || return
        case $new in *upstreams*) mv "$run/found" "$run/current" ;; esac
        echo "nginx now uses: $(tr '\n' ',' <"$run/current")"
    fi
    [ -z "$refused" ] || { echo "nginx does not accept new:$refused" >&2; return 1; }
}

locked() { ( flock 9 && "$@" ) 9>"$run/lock"; }

case ${1:-} in
    write) locked write ;;
    update) locked update ;;
    watch) while sleep 1; do [ ! -s "$run/nginx.pid" ] || locked update || sleep 9; done ;;
    show) cat "$run/current" ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
