#!/usr/bin/env bash
# The main job of the product as curl calls against a running stack: an admin creates a student, who writes a portfolio with text
# and a photograph; it is approved, and a guest finds it and looks at the picture. Prints each step; ends with 1 and the
# answer at the first surprise.
#
# usage: scripts/demo-journey.sh [BASE_URL]      PHOTO=file.jpg chooses the picture
set -euo pipefail

base=${1:-http://localhost:8080}
api=$base/api/v1
here=$(cd "$(dirname "$0")" && pwd)
photo=${PHOTO:-$here/../services/portfolio/src/seed/pictures/batik.jpg}
admin=${ADMIN_USERNAME:-admin}
admin_password=${ADMIN_PASSWORD:-grafikarsa-dev}
student=demo_$(date +%s)_$((RANDOM % 1000))
student_password=rahasia-$RANDOM-$RANDOM
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

step() { number=$((number + 1)); printf '%2d. %s\n' "$number" "$*"; }

surprise() {
    printf 'SURPRISE: %s\n' "$1" >&2
    [ -s "$work/headers" ] && head -n 1 "$work/headers" >&2
    [ -s "$work/answer" ] && head -c 2000 "$work/answer" >&2 && echo >&2
    exit 1
}

# call METHOD PATH EXPECTED_STATUS [TOKEN] [JSON]: the answer is in $work/answer
call() {
    local method=$1 path=$2 expected=$3 token=${4:-} body=${5:-} status
    local options=(--silent --show-error --max-time 30 --request "$method" --output "$work/answer" --dump-header "$work/headers")
    [ -n "$token" ] && options+=(--header "Authorization: Bearer $token")
    [ -n "$body" ] && options+=(--header 'Content-Type: application/json' --data "$body")
    status=$(curl "${options[@]}" --write-out '%{http_code}' "$api$path") || surprise "$method $path: no answer"
    [ "$status" = "$expected" ] || surprise "$method $path answered $status instead of $expected"
}

field() { jq -er "$1" "$work/answer" || surprise "the answer has no $1"; }

login() { # USERNAME PASSWORD: prints the access token
    call POST /auth/login 200 '' "$(jq -n --arg u "$1" --arg p "$2" '{username: $u, password: $p}')"
    field .data.access_token
}

# upload TYPE TOKEN PORTFOLIO: presign, PUT straight to the store, confirm; prints the public address
upload() {
    local kind=$1 token=$2 portfolio=$3 size url status
    size=$(stat -c %s "$photo")
    call POST /uploads/presign 200 "$token" "$(jq -n --arg t "$kind" --arg p "$portfolio" --argjson s "$size" \
        '{upload_type: $t, filename: "foto.jpg", content_type: "image/jpeg", file_size: $s, portfolio_id: $p}')"
    cp "$work/answer" "$work/presigned"
    url=$(field .data.presigned_url)
    status=$(curl --silent --show-error --max-time 60 --request PUT --header 'Content-Type: image/jpeg' --data-binary "@$photo" \
        --output "$work/answer" --write-out '%{http_code}' "$url") || surprise "PUT to the store: no answer"
    case $status in 200 | 204) ;; *) surprise "PUT to the store answered $status" ;; esac
    call POST /uploads/confirm 200 "$token" "$(jq '{upload_id: .data.upload_id, object_key: .data.object_key}' "$work/presigned")"
    field .data.url
}

step "$admin logs in"
admin_token=$(login "$admin" "$admin_password")

step "$admin creates the student $student"
call POST /admin/users 201 "$admin_token" "$(jq -n --arg u "$student" --arg p "$student_password" \
    '{username: $u, email: ($u + "@example.sch.id"), password: $p, nama: "Siswa Demo", role: "student"}')"

step "$student logs in"
token=$(login "$student" "$student_password")
call GET /me 200 "$token"
[ "$(field .data.username)" = "$student" ] || surprise "GET /me is somebody else"

step "$student starts a portfolio"
call POST /portfolios 201 "$token" '{"judul":"Perjalanan Demo"}'
portfolio=$(field .data.id)
slug=$(field .data.slug)

step "$student writes a text"
call POST "/portfolios/$portfolio/blocks" 201 "$token" \
    '{"block_type":"text","block_order":0,"payload":{"content":"<p>Halo dari <strong>perjalanan demo</strong>.</p>"}}'

step "$student uploads a photograph and puts it below the text"
picture=$(upload portfolio_image "$token" "$portfolio")
call POST "/portfolios/$portfolio/blocks" 201 "$token" \
    "$(jq -n --arg u "$picture" '{block_type: "image", block_order: 1, payload: {url: $u, caption: "Foto"}}')"

step "$student uploads a thumbnail"
thumbnail=$(upload thumbnail "$token" "$portfolio")
call PATCH "/portfolios/$portfolio" 200 "$token" "$(jq -n --arg u "$thumbnail" '{thumbnail_url: $u}')"

step "$student sends it for review"
call POST "/portfolios/$portfolio/submit" 200 "$token"
[ "$(field .data.status)" = pending_review ] || surprise "it is not waiting for review"

step "a guest does not see it yet"
call GET "/portfolios/$slug?username=$student" 404

step "$admin approves it"
call POST "/admin/portfolios/$portfolio/approve" 200 "$admin_token"
[ "$(field .data.status)" = published ] || surprise "it is not published"

step "a guest finds it in the feed"
call GET '/feed?algorithm=recent' 200
jq -e --arg id "$portfolio" '.data[0].id == $id' "$work/answer" >/dev/null || surprise "it is not the first of the feed"

step "the guest reads it"
call GET "/portfolios/$slug?username=$student" 200
jq -e --arg u "$picture" '.data.content_blocks | length == 2 and .[1].payload.url == $u' "$work/answer" >/dev/null ||
    surprise "its blocks are not those that were written"

step "the guest looks at the picture, and again without its bytes travelling"
status=$(curl --silent --show-error --max-time 30 --output "$work/answer" --dump-header "$work/headers" --write-out '%{http_code}' "$picture")
[ "$status" = 200 ] || surprise "the picture answered $status"
etag=$(sed -n 's/^etag: *\(.*\)\r$/\1/Ip' "$work/headers")
[ -n "$etag" ] || surprise "the picture has no ETag"
status=$(curl --silent --show-error --max-time 30 --header "If-None-Match: $etag" --output "$work/answer" --dump-header "$work/headers" \
    --write-out '%{http_code}' "$picture")
[ "$status" = 304 ] || surprise "the known picture answered $status instead of 304"

step "$student logs out, and the token is refused everywhere"
call POST /auth/logout 200 "$token"
sleep 1
for path in /me /auth/sessions '/uploads/presign-view?object_key=x'; do
    call GET "$path" 401 "$token"
    [ "$(field .error.code)" = TOKEN_REVOKED ] || surprise "GET $path does not say that the token is revoked"
done

echo "The main job works at $base."
