#!/bin/sh
# Stops and starts the PostgreSQL that lives beside this file: stop | start | restart | kill.
# `kill` is a power cut for the process: SIGKILL to the server and all its children.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd "$here"
pid_file=data/postmaster.pid

server() { @AS_OWNER@ '@BIN@/pg_ctl' --pgdata="$here/data" --silent --wait --timeout=30 "$@"; }
start() { server --log="$here/data/server.log" start; }
stop() { if [ -e "$pid_file" ]; then server --mode=fast stop; fi; }
murder() {
    pid=$(head -n 1 "$pid_file")
    # shellcheck disable=SC2046 # one word per child is meant
    kill -KILL "$pid" $(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)
    # Nobody may be left to reap the dead, and a zombie would pass for a living server.
    rm -f "$pid_file"
}

case ${1:-} in
start) start ;;
stop) stop ;;
restart) stop && start ;;
kill) murder ;;
*) echo "usage: $0 start|stop|restart|kill" >&2 && exit 64 ;;
esac
