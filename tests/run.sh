#!/bin/sh
# Runs every test, from any directory:
#
#   tests/run.sh
#
# It installs redis-cli and redis-benchmark first if they are missing and it can; otherwise it says
# what to install. So it does with valgrind and the programs that real clients need, but goes on
# without them: what they are missed for is not run, and the report says so.
#
# A redis-server to compare with comes with redis-tools: in Debian it is called redis-check-rdb there.
# The package redis-server would only add a service, which starts at once.
set -eu

say() {
    echo "tests/run.sh: $1"
}

fail() {
    say "$1" >&2
    exit 1
}

# Those of the named programs that are not installed.
missing() {
    for program in "$@"; do
        command -v "$program" >/dev/null || printf '%s ' "$program"
    done
}

# Runs a command as root, if that is allowed without asking.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@" </dev/null
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@" </dev/null
    else
        say "that is for root, or for sudo without a password"
        return 1
    fi
}

# Installs a package of Debian's. Whether that has been possible is its exit code.
install() {
    command -v apt-get >/dev/null && as_root true || return 1
    if [ -z "$updated" ]; then
        updated=yes
        say "runs apt-get update"
        as_root apt-get update || say "that failed; tries with the list that there is"
    fi
    say "runs apt-get install $1"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1"
}
updated=

# haproxy is where only root looks for programs.
PATH=$PATH:/usr/sbin

root=$(dirname -- "$(readlink -f -- "$0")")/..
cd -- "$root"

command -v cargo >/dev/null || fail "cargo is missing; install Rust from https://rustup.rs"
tools=$(missing redis-cli redis-benchmark)
if [ -n "$tools" ]; then
    say "missing: $tools"
    install redis-tools ||
        fail "install redis-tools (of Debian and Ubuntu) or redis (of Fedora and Homebrew)"
    tools=$(missing redis-cli redis-benchmark)
    [ -z "$tools" ] || fail "redis-tools is installed, and yet there is no $tools"
fi

# One by one, because one that cannot be installed is no reason to do without the others.
while read -r program package; do
    [ -z "$(missing "$program")" ] || install "$package" ||
        say "goes on without $program"
done <<END
haproxy haproxy
node nodejs
npm npm
python3 python3
valgrind valgrind
END
python3 -m pip --version >/dev/null 2>&1 || install python3-pip || say "goes on without pip"

say "runs what needs nothing but Rust"
cargo test --locked
say "checks the pool over many interleavings: a minute"
cargo test --locked --profile model -p respool-model
say "runs what needs a redis-server, redis-cli and redis-benchmark, and what needs its own build"
cargo test --locked --test redis_server --test tools --test your_program --test readme --test stranger
say "runs the tests of the benchmark, which needs a release build too"
cargo test --locked -p respool-duel
say "counts the instructions of a PING"
cargo test --locked --test instructions
say "runs real clients, and says what it installs for them"
cargo test --locked --test interop
echo "everything passed"
