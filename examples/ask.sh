#!/usr/bin/env bash
# Ask askfleet over HTTP with curl, and read the answer as server-sent events.
#
#   AF_URL=http://127.0.0.1:8080 AF_API_KEY=... ./ask.sh "How do I reset the hub?"
#   ./ask.sh --resume ID [LAST]    read on after event LAST, on any replica
#   ./ask.sh --cancel ID           stop the work on it
#
# Prints the stream as it comes. Exit status: 0 answered, 1 failed or cancelled, 2 refused or no connection.
set -u

URL="${AF_URL:-http://127.0.0.1:8080}"
AUTH="Authorization: Bearer ${AF_API_KEY:-}"
EVENTS="Accept: text/event-stream"
TRIES=20  # half a second apart, while nothing comes
question=""
last=0

quoted() {  # a JSON string
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"} text=${text//$'\t'/\\t} text=${text//$'\r'/\\r}
  printf '"%s"' "${text//$'\n'/\\n}"
}

ask() {  # $1: an id chosen here, so that the same request again is asked once
  curl -sN -H "$AUTH" -H "$EVENTS" -H "Content-Type: application/json" \
    -d "{\"id\": \"$1\", \"question\": $(quoted "$question")}" "$URL/v1/ask"
}

resume() {
  curl -sN -H "$AUTH" -H "$EVENTS" -H "Last-Event-ID: $last" "$URL/v1/answers/$1"
}

show() {  # prints the events and keeps the last id; returns when the connection has ended, not the answer
  local line status=""
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\n' "$line"
    case $line in
      "id: "*) last=${line#id: } ;;
      "event: done") status=0 ;;
      "event: failed" | "event: cancelled") status=1 ;;
      "") [ -n "$status" ] && exit "$status" ;;
      "{"*) exit 2 ;;  # a problem, not a stream
    esac
    line=""
  done
}

follow() {  # $1: the answer's id
  local tries=0 before
  while [ "$tries" -lt "$TRIES" ]; do
    before=$last
    if [ "$last" -eq 0 ] && [ -n "$question" ]; then
      show < <(ask "$1")
    else
      show < <(resume "$1")
    fi
    [ "$last" -gt "$before" ] && tries=0
    tries=$((tries + 1))
    sleep 0.5
  done
  echo "no answer from $URL" >&2
  exit 2
}

case "${1:---help}" in
  --help) sed -n '2,8s/^# \{0,1\}//p' "$0" ;;
  --cancel) curl -sf -X DELETE -H "$AUTH" "$URL/v1/answers/$2" || exit 2 ;;
  --resume)
    last=${3:-0}
    follow "$2"
    ;;
  *)
    question=$1
    id="${AF_ID:-ask-$(date +%s)-$$-$RANDOM}"
    echo "answer $id" >&2
    follow "$id"
    ;;
esac
