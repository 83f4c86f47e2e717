# Sourced by the CGI programs. `redis COMMAND ARGUMENT…` sends one command and prints its reply, one line for each element of a
# list; it fails when there is no reply or redis answers with an error. Arguments are length-prefixed, so they may hold anything.
# Reads REDIS_HOST, REDIS_PORT and REDIS_PASSWORD from the environment.

redis_words() {
  printf '*%d\r\n' "$#"
  for word; do
    printf '$%d\r\n%s\r\n' "$(printf '%s' "$word" | busybox wc -c)" "$word"
  done
}

redis() {
  { redis_words AUTH "$REDIS_PASSWORD"; redis_words "$@"; redis_words QUIT; } |
    busybox nc -w 2 "$REDIS_HOST" "$REDIS_PORT" | busybox tr -d '\r' |
    busybox awk '
      # Line 1 answers AUTH. Then comes our reply: +text, :number, -error, $length and text, or *count and that many texts.
      NR == 1 { if ($0 != "+OK") exit; authorized = 1; next }
      NR == 2 {
        type = substr($0, 1, 1); rest = substr($0, 2)
        if (type == "+" || type == ":") { print rest; done = 1; exit }
        if (type == "$") wanted = rest < 0 ? 0 : 1
        else if (type == "*") wanted = rest
        else exit
        if (wanted == 0) { done = 1; exit }
        is_text = type == "$"
        next
      }
      is_text { print; if (--wanted == 0) { done = 1; exit } }
      type == "*" { is_text = !is_text }
      END { exit !(authorized && done) }'
}
