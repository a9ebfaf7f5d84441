#!/bin/sh
# Stops and starts the Consul server that lives beside this file:
# stop | start | restart | kill | wipe | pause | resume.
# `wipe` is a death after which the server has forgotten everything; `start` makes a new one of it. `pause` leaves its
# sockets open and nobody behind them.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd "$here"
# A quarter of a second each.
tries=120

pid() { cat pid 2>/dev/null || echo 0; }
# A zombie would pass for a living server, and nobody may be left to reap it.
alive() {
    [ "$(pid)" != 0 ] && [ -r "/proc/$(pid)/stat" ] && ! grep -q '^[0-9]* (.*) Z' "/proc/$(pid)/stat"
}
until_it() {
    left=$tries
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "the server is still not so: $*" >&2 && exit 1; }
        sleep 0.25
    done
}
# There is a leader, and its node stands in the catalogue.
answers() {
    # shellcheck disable=SC1091 # it is written beside this file
    . ./cli.env
    '@CONSUL@' catalog nodes -near=_agent 2>/dev/null | grep -q '^flotilla '
}
answers_or_died() { answers || ! alive; }
gone() { ! alive; }

start() {
    if alive; then
        resume
        return
    fi
    # The version check would ask the world outside.
    CHECKPOINT_DISABLE=1 setsid '@CONSUL@' agent -config-file "$here/consul.json" \
        </dev/null >>server.log 2>&1 &
    echo $! >pid
    until_it answers_or_died
    alive || { tail -n 5 server.log >&2 && exit 1; }
}
resume() { kill -CONT "$(pid)"; }
stop() {
    if alive; then resume && kill -TERM "$(pid)" && until_it gone; fi
    rm -f pid
}
murder() {
    if alive; then kill -KILL "$(pid)" && until_it gone; fi
    rm -f pid
}

case ${1:-} in
start) start ;;
stop) stop ;;
restart) stop && start ;;
kill) murder ;;
wipe) murder && rm -rf state ;;
pause) kill -STOP "$(pid)" ;;
resume) resume ;;
answers) answers ;;
*) echo "usage: $0 start|stop|restart|kill|wipe|pause|resume|answers" >&2 && exit 64 ;;
esac
