#!/bin/sh
# Makes the bucket of a store whose keys come from its configuration (SeaweedFS), if it is not there yet.
set -eu
# The secret comes from standard input: everybody may read a command line.
status=$(printf 'user = "%s:%s"\n' "$STORE_ADMIN_KEY_ID" "$STORE_ADMIN_SECRET" |
    curl -K - -sS --max-time 20 -o /tmp/answer -w '%{http_code}' -X PUT --aws-sigv4 "aws:amz:$S3_REGION:s3" \
    -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$STORE_URL/$S3_BUCKET")
case $status in
    200 | 409) echo "The bucket $S3_BUCKET is prepared." ;;
    *) echo "The store answered $status:" && cat /tmp/answer && exit 1 ;;
esac
