#!/bin/sh
# Makes what media needs of MinIO, and only what is missing: the bucket, which stays private (media answers for every object
# and its headers; a public prefix would go around them), and a key that may do what media does in that bucket, and
# nothing else. Repeating it sets the key's secret anew.
set -eu
mc() { command mc --quiet --no-color "$@"; }
policy=$(mktemp)
cat >"$policy" <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    { "Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::$S3_BUCKET"] },
    { "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "Resource": ["arn:aws:s3:::$S3_BUCKET/*"] }
  ]
}
JSON
# Secrets come from the environment and standard input: everybody may read a command line.
export MC_HOST_store="${STORE_URL%%://*}://$STORE_ADMIN_KEY_ID:$STORE_ADMIN_SECRET@${STORE_URL#*://}"
mc mb --ignore-existing --region "$S3_REGION" "store/$S3_BUCKET"
mc anonymous set none "store/$S3_BUCKET" >/dev/null
mc admin policy create store media "$policy" >/dev/null
printf '%s\n%s\n' "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY" | mc admin user add store >/dev/null
# Attaching what is attached already is an error.
case $(mc admin policy entities store --user "$S3_ACCESS_KEY_ID") in
    *media*) ;;
    *) mc admin policy attach store media --user "$S3_ACCESS_KEY_ID" >/dev/null ;;
esac
echo "The bucket $S3_BUCKET is prepared."
