#!/bin/busybox sh
# The guestbook as a page: GET shows the entries, newest first; POST adds one (form field `entry`) and shows them again.
# Runs under `busybox httpd` once per request; speaks the redis protocol itself, see redis.sh.
. /app/redis.sh

escape_html() { busybox sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g'; }

fail() {
  printf 'Status: 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\n%s\n' "$1"
  exit 0
}

if [ "${REQUEST_METHOD:-GET}" = POST ]; then
  # An entry is one line of at most ENTRY_BYTES_MAX bytes: what is longer is cut, not refused.
  form=$(busybox head -c 65536)
  entry=${form#*entry=}
  [ "$entry" != "$form" ] || fail "no field named entry in the form"
  entry=$(busybox httpd -d "${entry%%&*}" | busybox tr -d '\r\n' | busybox head -c "$ENTRY_BYTES_MAX")
  if [ -n "$entry" ]; then
    redis LPUSH entries "$entry" >/dev/null || fail "redis did not take the entry"
    redis LTRIM entries 0 "$((ENTRIES_MAX - 1))" >/dev/null || fail "redis did not trim the entries"
  fi
fi

entries=$(redis LRANGE entries 0 -1) || fail "redis does not answer at $REDIS_HOST:$REDIS_PORT"

printf 'Content-Type: text/html; charset=utf-8\r\n\r\n'
title=$(printf '%s' "$TITLE" | escape_html)
printf '<!doctype html><title>%s</title>\n<h1>%s</h1>\n' "$title" "$title"
printf '<form method="post" action="/"><input name="entry" autofocus> <button>Sign</button></form>\n<ul>\n'
[ -z "$entries" ] || printf '%s\n' "$entries" | escape_html | busybox sed 's/.*/<li>&<\/li>/'
printf '</ul>\n<p>served by %s</p>\n' "$(busybox hostname)"
