# What the client tests share: the node and its provider on free ports, package folders named by
# their lock file's digest. Sourced, never run; ends only what it started.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
    exit 0
fi
room=$(mktemp -d)
pids=()
fgy=${FGY_BIN:-$here/../../target/debug/fgy}
FGY_BOOTSTRAP_KEY=fgy_$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
export FGY_BOOTSTRAP_KEY
# A proxy of this machine is not for the loopback.
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost

clean_up() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$room"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

die() { echo "$*" >&2; exit 1; }
[ -x "$fgy" ] || die "no binary at $fgy: build it, or set FGY_BIN"

free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
    done
    die "no free port between 20000 and 32000"
}

# packages NAME LOCK: sets $packages_folder; true if the lock's packages are already there.
packages() {
    local digest
    digest=$(sha256sum "$2" | cut -c1-16)
    packages_folder=${XDG_CACHE_HOME:-$HOME/.cache}/fgy-clients/$1-$digest
    mkdir -p "$packages_folder"
    [ -e "$packages_folder/complete" ]
}

# started NAME URL SECONDS COMMAND...: in the background; waits until URL is a 200.
started() {
    local name=$1 url=$2 seconds=$3 pid; shift 3
    "$@" >"$room/$name.log" 2>&1 &
    pid=$!
    pids+=("$pid")
    for _ in $(seq $((seconds * 10))); do
        curl -sf -o /dev/null --max-time 2 "$url" && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -40 "$room/$name.log" >&2
    die "$name did not become ready at $url"
}

start_mock() {
    mock_port=$(free_port)
    started mock "http://127.0.0.1:$mock_port/__health" 20 \
        "$fgy" mock-provider --listen "127.0.0.1:$mock_port"
}

# start_fgy UPSTREAM: a lone node on $fgy_port, its data in $room.
start_fgy() {
    fgy_port=$(free_port)
    admin_port=$(free_port)
    started fgy "http://127.0.0.1:$fgy_port/readyz" 20 "$fgy" up --listen "127.0.0.1:$fgy_port" \
        --admin-listen "127.0.0.1:$admin_port" --data "$room/data" --upstream "$1"
}
