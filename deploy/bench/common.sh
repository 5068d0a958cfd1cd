# What the benchmark scripts share: finding binaries, free ports, starting and ending servers, one
# wrk run to one line. Sourced, never run. Everything lives in $room (a mktemp folder), listens on
# the loopback, and is ended by its own pid.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
room=$(mktemp -d)
pids=()

clean_up() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$room"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

die() { echo "$*" >&2; exit 1; }

# need COMMAND PACKAGE: installs what is missing, where apt and root are there.
need() {
    command -v "$1" >/dev/null && return
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || die "$1 is missing: install the package $2"
    echo "installing $2" >&2
    # A package's own service must not start: these scripts bring their own configuration.
    apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
}

# The release binary, or the one FGY_BIN names.
find_fgy() {
    fgy=${FGY_BIN:-}
    if [ -z "$fgy" ]; then
        (cd "$root" && cargo build --release --locked) >&2
        fgy=$(target_folder)/release/fgy
    fi
    [ -x "$fgy" ] || die "no binary at $fgy: set FGY_BIN"
}

target_folder() {
    (cd "$root" && cargo metadata --no-deps --offline --format-version 1) |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
    done
    die "no free port between 20000 and 32000"
}

# start NAME COMMAND...: in the background, output to $room/NAME.log; its pid in $started.
start() {
    local name=$1; shift
    "$@" >"$room/$name.log" 2>&1 &
    started=$!
    pids+=("$started")
}

# stop PID: ends one of ours and waits for it.
stop() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# ready NAME URL: waits at most 30 s for a 200.
ready() {
    for _ in $(seq 600); do
        curl -sf -o /dev/null --max-time 2 "$2" && return
        kill -0 "$started" 2>/dev/null || { cat "$room/$1.log" >&2; die "$1 ended at once"; }
        sleep 0.05
    done
    cat "$room/$1.log" >&2
    die "$1 is not ready after 30 s"
}

# The simulated provider on $mock_port; further words are its flags.
start_mock() {
    mock_port=$(free_port)
    start mock ${mock_on:-} "$fgy" mock-provider --listen "127.0.0.1:$mock_port" --calls-kept-max 10 "$@"
    ready mock "http://127.0.0.1:$mock_port/__health"
}

# A lone node on $fgy_port in front of the mock, its data in $room/data; further words are flags.
start_fgy() {
    fgy_port=$(free_port)
    admin_port=$(free_port)
    FGY_BOOTSTRAP_KEY=fgy_$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
    export FGY_BOOTSTRAP_KEY
    start fgy ${fgy_on:-} "$fgy" up --listen "127.0.0.1:$fgy_port" --admin-listen "127.0.0.1:$admin_port" \
        --data "$room/data" --upstream "http://127.0.0.1:$mock_port/v1" "$@"
    fgy_pid=$started
    ready fgy "http://127.0.0.1:$fgy_port/readyz"
}

# drive PORT CONNECTIONS SECONDS: one wrk run with post.lua; prints "rate p50_us p99_us errors".
# PROMPTS=unique asks something new each time, DELAY_MS paces each connection, COUNT
# asks no more than so many (the time passes all the same).
drive() {
    ${wrk_on:-} wrk -t1 -c"$2" -d"$3"s --timeout 10s -s "$here/post.lua" \
        "http://127.0.0.1:$1" >"$room/wrk.out" 2>&1 || { cat "$room/wrk.out" >&2; die "wrk failed"; }
    sed -n 's/^result //p' "$room/wrk.out"
}

median() { sort -n | sed -n "$(((${1:-3} + 1) / 2))p"; }

show_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then show_help; exit 0; fi
