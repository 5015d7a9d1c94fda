#!/bin/sh
# SeaweedFS of one server: the keys come from the environment into a file that only this container has.
set -eu
umask 077
cat >/tmp/s3.json <<JSON
{
  "identities": [
    {
      "name": "admin",
      "credentials": [{ "accessKey": "$STORE_ADMIN_KEY_ID", "secretKey": "$STORE_ADMIN_SECRET" }],
      "actions": ["Admin", "Read", "List", "Tagging", "Write"]
    },
    {
      "name": "media",
      "credentials": [{ "accessKey": "$S3_ACCESS_KEY_ID", "secretKey": "$S3_SECRET_ACCESS_KEY" }],
      "actions": ["Read:$S3_BUCKET", "List:$S3_BUCKET", "Write:$S3_BUCKET"]
    }
  ]
}
JSON
# Volumes of 256 MB: a bucket has volumes of its own, and vacuuming copies one at a time. The only master need not wait long for
# others to vote, nor the only volume server for requests to go elsewhere.
exec weed -logtostderr=true server -dir=/data -ip=store -ip.bind=0.0.0.0 -master.volumeSizeLimitMB=256 -volume.max=0 \
    -master.electionTimeout=1s -master.telemetry=false -volume.preStopSeconds=1 -filer -s3 -s3.port=9000 -s3.config=/tmp/s3.json -s3.port.iceberg=0 -s3.port.lance=0 \
    -metricsPort=9327
