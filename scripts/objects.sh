#!/bin/sh
# Objects of a bucket in and out, over S3 and with nothing but curl, inside of the container `objects`:
#   objects.sh list                 "SIZE ETAG KEY" a line
#   objects.sh fetch DIR            what DIR/objects lacks; then DIR/objects.list says what there is
#   objects.sh store DIR            everything in DIR/objects.list, with its type
#   objects.sh send DIR NAME        a backup: its objects to objects/, the rest to NAME/, whatever is not there yet
# Keys and contents of objects never change once they are published, so a fetched one is never asked for again.
set -eu
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
            printf 'url = "%s/%s"\noutput = "objects/%s"\n' "$bucket" "$key" "$key" >>"$work/wanted"
            printf '%s\n' "$key" >>"$work/keys"
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
    while read -r size etag key; do
        if [ -f "objects/$key" ]; then
            [ "$(stat -c %s "objects/$key")" = "$size" ] || { echo "$key has not its size" >&2; exit 1; }
            printf '%s %s %s\n' "$size" "$etag" "$key"
        fi
    done <objects.new >objects.list
    rm objects.new
    wc -l <objects.list | tr -d ' '
}

store() { # DIR
    cd "$1"
    awk 'NR == FNR { type[$2] = $1; next } { print $3, (($3 in type) ? type[$3] : "application/octet-stream") }' \
        objects.types objects.list | while read -r key type; do
        printf 'next\nurl = "%s/%s"\nupload-file = "objects/%s"\nheader = "Content-Type: %s"\n' "$bucket" "$key" "$key" "$type"
        cat "$work/s3"
    done | sed 1d >"$work/wanted"
    [ ! -s "$work/wanted" ] || curl --no-progress-meter --parallel --parallel-max "$at_once" -K "$work/wanted" >/dev/null
    wc -l <objects.list | tr -d ' '
}

send() { # DIR NAME
    cd "$1"
    list >"$work/all"
    cut -d' ' -f3 "$work/all" | sort >"$work/there"
    {
        cut -d' ' -f3 objects.list | sed 's!.*!& objects/&!' | while read -r key target; do
            grep -qxF "$target" "$work/there" || echo "objects/$key $target"
        done
        # The sums last: a backup that has them is complete.
        for file in database.dump rows.txt objects.list objects.types backup.env SHA256SUMS; do
            [ ! -f "$file" ] || echo "$file $2/$file"
        done
    } | while read -r file target; do
        curl -K "$work/s3" --upload-file "$file" "$bucket/$target" >/dev/null
    done
}

case ${1:-} in
    list) list ;;
    fetch) fetch "$2" ;;
    store) store "$2" ;;
    send) send "$2" "$3" ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
