#!/bin/busybox sh
# For the readiness probe: a web pod without its redis should get no requests.
. /app/redis.sh
if [ "$(redis PING)" = PONG ]; then
  printf 'Content-Type: text/plain\r\n\r\nready\n'
else
  printf 'Status: 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nno redis at %s:%s\n' "$REDIS_HOST" "$REDIS_PORT"
fi
