#!/bin/sh
# Objects of a bucket in and out, over S3 and with nothing but curl, inside of the container `objects`:
#   objects.sh list                 "SIZE ETAG KEY" a line
#   objects.sh fetch DIR            what DIR/objects lacks; DIR/objects.list gets what there is besides what it names already
#   objects.sh store DIR            everything in DIR/objects.list, with its type
#   objects.sh send DIR NAME        a backup: its objects to objects/, the rest to NAME/, whatever is not there yet
#   objects.sh names                the backups that were sent completely
#   objects.sh receive DIR NAME     such a backup back
#   objects.sh prune DAYS           removes those older than DAYS, but never the newest three, and objects that none has
# Keys and contents of objects never change once they are published, so a fetched one is never asked for again.
set -eu
export LC_ALL=C
at_once=8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 077
cat >"$work/s3" <<CONF
silent
show-error
fail
max-time = 300
retry = 3
aws-sigv4 = "aws:amz:$S3_REGION:s3"
user = "$S3_ACCESS_KEY_ID:$S3_SECRET_ACCESS_KEY"
header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
CONF
bucket=$STORE_URL/$S3_BUCKET

# Markers may hold slashes; the signature wants what the query says to be escaped.
escape() { printf %s "$1" | sed -e 's/%/%25/g' -e 's/+/%2B/g' -e 's!/!%2F!g' -e 's/=/%3D/g' -e 's/ /%20/g' -e 's/:/%3A/g' -e 's/&/%26/g'; }

list() {
    token=
    while :; do
        # Parameters in the order of their names, as the signature wants them.
        query=list-type=2\&max-keys=${PAGE:-1000}
        [ -z "$token" ] || query=continuation-token=$(escape "$token")\&$query
        curl -K "$work/s3" "$bucket?$query" >"$work/page"
        sed 's/<Contents>/\n&/g' "$work/page" | awk '
            function tag(name,  text) {
                text = $0
                if (!sub(".*<" name ">", "", text)) return ""
                sub("</" name ">.*", "", text)
                return text
            }
            /^<Contents>/ { etag = tag("ETag"); gsub(/&#34;|&quot;|"/, "", etag); print tag("Size"), etag, tag("Key") }'
        token=$(sed -n 's!.*<NextContinuationToken>\([^<]*\)</NextContinuationToken>.*!\1!p' "$work/page")
        [ -n "$token" ] || break
    done
}

fetch() { # DIR
    cd "$1"
    mkdir -p objects
    # What was never confirmed is nobody's.
    list >"$work/all"
    awk '$3 !~ /^staging\//' "$work/all" | sort -k3 >objects.new
    : >"$work/wanted"
    while read -r size etag key; do
        case $key in *[!A-Za-z0-9._/-]* | /* | *..*) echo "an object with an unexpected key: $key" >&2; exit 1 ;; esac
        if [ ! -f "objects/$key" ] || [ "$(stat -c %s "objects/$key")" != "$size" ]; then
            # The file of the last backup may share it.
            rm -f "objects/$key"
            printf 'url = "%s/%s"\noutput = "objects/%s"\n' "$bucket" "$key" "$key" >>"$work/wanted"
        fi
    done <objects.new
    if [ -s "$work/wanted" ]; then
        curl -K "$work/s3" --no-progress-meter --parallel --parallel-max "$at_once" --create-dirs -w '%{http_code} %{content_type} %{url_effective}\n' \
            -K "$work/wanted" >"$work/fetched" || true
        # One that was deleted meanwhile is no failure, and no object.
        grep -v '^\(200\|404\) ' "$work/fetched" >&2 && exit 1
        sed -n "s!^200 \([^ ]*\).* $bucket/!\1 !p" "$work/fetched" >>objects.types
    fi
    sort -u -k2,2 -o objects.types objects.types 2>/dev/null || :
    touch objects.list
    while read -r size etag key; do
        if [ -f "objects/$key" ]; then
            [ "$(stat -c %s "objects/$key")" = "$size" ] || { echo "$key has not its size" >&2; exit 1; }
            printf '%s %s %s\n' "$size" "$etag" "$key"
        fi
    done <objects.new >>objects.list
    sort -u -k3,3 -o objects.list objects.list
    rm objects.new
    wc -l <objects.list | tr -d ' '
}

# Requests of the lines "FILE KEY TYPE" on standard input, 500 in one curl, which keeps all of them in memory:
# transfer OPTION, where OPTION is upload-file or output
transfer() {
    awk -v folder="$work" '{ print >(folder "/batch." int((NR - 1) / 500)) }'
    for batch in "$work"/batch.*; do
        [ -f "$batch" ] || continue
        while read -r file key type; do
            printf 'next\ncreate-dirs\nurl = "%s/%s"\n%s = "%s"\n' "$bucket" "$key" "$1" "$file"
            [ -z "$type" ] || printf 'header = "Content-Type: %s"\n' "$type"
            cat "$work/s3"
        done <"$batch" | sed 1d >"$work/wanted"
        curl --no-progress-meter --parallel --parallel-max "$at_once" -K "$work/wanted" >/dev/null
        rm "$batch"
    done
}

store() { # DIR
    cd "$1"
    types=objects.types
    [ -f "$types" ] || types=/dev/null
    # An empty file has no first line to tell it by.
    awk 'list == 0 { type[$2] = $1; next } { print "objects/" $3, $3, (($3 in type) ? type[$3] : "application/octet-stream") }' \
        list=0 "$types" list=1 objects.list >"$work/all"
    transfer upload-file <"$work/all"
    wc -l <objects.list | tr -d ' '
}

# The sums last: a backup that has them is complete.
parts='database.dump rows.txt objects.list objects.types backup.env SHA256SUMS'

send() { # DIR NAME
    cd "$1"
    list >"$work/all"
    cut -d' ' -f3 "$work/all" | sort >"$work/there"
    cut -d' ' -f3 objects.list | sed 's!^!objects/!' | sort >"$work/ours"
    comm -13 "$work/there" "$work/ours" | awk '{ print $1, $1 }' >"$work/missing"
    transfer upload-file <"$work/missing"
    for file in $parts; do
        [ ! -f "$file" ] || curl -K "$work/s3" --upload-file "$file" "$bucket/$2/$file" >/dev/null
    done
}

names() {
    list >"$work/all"
    sed -n 's!^.* \(2[0-9T]*Z\)/SHA256SUMS$!\1!p' "$work/all" | sort
}

receive() { # DIR NAME
    cd "$1"
    list >"$work/all"
    for file in $parts; do
        if grep -q " $2/$file\$" "$work/all"; then curl -K "$work/s3" "$bucket/$2/$file" -o "$file"; fi
    done
    [ -f SHA256SUMS ] || { echo "there is no complete backup $2" >&2; exit 1; }
    cut -d' ' -f3 objects.list | while read -r key; do [ -f "objects/$key" ] || echo "objects/$key objects/$key"; done >"$work/missing"
    transfer output <"$work/missing"
}

prune() { # DAYS
    oldest=$(date -u -d "@$(($(date +%s) - $1 * 86400))" +%Y%m%dT%H%M%SZ)
    names >"$work/names"
    # By their names, which are times; unfinished ones are as old as theirs.
    sed -n 's!^.* \(2[0-9T]*Z\)/.*!\1!p' "$work/all" | sort -u |
        awk -v oldest="$oldest" -v names="$work/names" 'BEGIN { while ((getline name < names) > 0) { total++; place[name] = total } }
            $1 < oldest && !(($1 in place) && place[$1] > total - 3)' >"$work/old"
    comm -23 "$work/names" "$work/old" >"$work/kept"
    [ -s "$work/kept" ] || { echo "no complete backup would stay: nothing is removed" >&2; exit 1; }
    # The sums go first: what lacks them is no backup.
    sed -n 's!^.* \(2[0-9T]*Z\)/\(.*\)!\1 \2!p' "$work/all" | sort -k2 | while read -r name file; do
        if grep -qxF "$name" "$work/old"; then curl -K "$work/s3" -X DELETE "$bucket/$name/$file"; fi
    done
    while read -r name; do curl -K "$work/s3" "$bucket/$name/objects.list"; done <"$work/kept" | awk '{ print "objects/" $3 }' | sort -u >"$work/used"
    sed -n 's!^.* \(objects/.*\)!\1!p' "$work/all" | sort | comm -23 - "$work/used" | while read -r key; do
        curl -K "$work/s3" -X DELETE "$bucket/$key"
    done
    echo "$(wc -l <"$work/old") backups were older than $1 days."
}

case ${1:-} in
    list) list ;;
    fetch) fetch "$2" ;;
    store) store "$2" ;;
    send) send "$2" "$3" ;;
    names) names ;;
    receive) receive "$2" "$3" ;;
    prune) prune "$2" ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
