#!/bin/sh
# Gives new volumes, which belong to root, to the users that need them: /volumes/UID/NAME. Runs as a job before the servers;
# with a self-signed certificate in /self-signed also puts that where nginx looks for it.
set -eu
for folder in /volumes/*/*; do
    uid=${folder#/volumes/}
    uid=${uid%%/*}
    [ "$(stat -c %u "$folder")" = "$uid" ] || chown -R "$uid:$uid" "$folder"
done
target=/volumes/101/certificates/self-signed
if [ -e /self-signed/fullchain.pem ] && ! cmp -s /self-signed/fullchain.pem "$target/fullchain.pem"; then
    mkdir -p "$target"
    cp /self-signed/privkey.pem /self-signed/fullchain.pem "$target/"
    chmod 600 "$target/privkey.pem"
    chmod 644 "$target/fullchain.pem"
    chown -R 101:101 "$target"
fi
