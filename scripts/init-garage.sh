#!/bin/sh
# Makes what media needs of Garage over its admin API (version 2), and only what is missing: the layout of one server, the
# bucket, media's key, and the key's rights in that bucket.
set -eu
umask 077
# Secrets stand in files: everybody may read a command line.
api() { # METHOD PATH [JSON]
    printf 'header = "Authorization: Bearer %s"\n' "$STORE_ADMIN_SECRET" >/tmp/api
    printf %s "${3:-}" >/tmp/body
    curl -K /tmp/api -sS --fail-with-body --max-time 20 -X "$1" -H 'Content-Type: application/json' ${3:+--data @/tmp/body} "$STORE_URL$2"
}
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

if ! api GET '/v2/GetClusterLayout' | grep -q '"zone"'; then
    node=$(api GET '/v2/GetNodeInfo?node=self' | tr ',{' '\n\n' | field nodeId)
    api POST /v2/UpdateClusterLayout \
        "{\"roles\":[{\"id\":\"$node\",\"zone\":\"school\",\"capacity\":${GARAGE_CAPACITY:-1000000000000},\"tags\":[]}]}" >/dev/null
    api POST /v2/ApplyClusterLayout '{"version":1}' >/dev/null
fi
api GET "/v2/GetKeyInfo?id=$S3_ACCESS_KEY_ID" >/dev/null 2>&1 || api POST /v2/ImportKey \
    "{\"accessKeyId\":\"$S3_ACCESS_KEY_ID\",\"secretAccessKey\":\"$S3_SECRET_ACCESS_KEY\",\"name\":\"media\"}" >/dev/null
bucket() { api GET "/v2/GetBucketInfo?globalAlias=$S3_BUCKET" 2>/dev/null | tr ',{' '\n\n' | field id; }
[ -n "$(bucket)" ] || api POST /v2/CreateBucket "{\"globalAlias\":\"$S3_BUCKET\"}" >/dev/null
api POST /v2/AllowBucketKey "{\"bucketId\":\"$(bucket)\",\"accessKeyId\":\"$S3_ACCESS_KEY_ID\",
    \"permissions\":{\"read\":true,\"write\":true,\"owner\":false}}" >/dev/null
echo "The bucket $S3_BUCKET is prepared."
