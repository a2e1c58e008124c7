#!/bin/sh
# Runs every test, from any directory:
#
#   tests/run.sh
#
# It installs redis-cli and redis-benchmark first if they are missing and it can; otherwise it says what
# to install.
set -eu

say() {
    echo "tests/run.sh: $1"
}

fail() {
    say "$1" >&2
    exit 1
}

# The names of the tools that are not installed.
missing_tools() {
    for tool in redis-cli redis-benchmark; do
        command -v "$tool" >/dev/null || printf '%s ' "$tool"
    done
}

install_redis_tools() {
    advice="install redis-tools (Debian, Ubuntu: apt-get install redis-tools) or redis (Fedora, Homebrew)"
    command -v apt-get >/dev/null || fail "$advice"
    if [ "$(id -u)" -eq 0 ]; then
        set --
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        set -- sudo -n
    else
        fail "$advice; only root may, or sudo without a password"
    fi
    say "runs apt-get update"
    "$@" apt-get update </dev/null || say "that failed; tries with the list that there is"
    say "runs apt-get install -y redis-tools"
    "$@" env DEBIAN_FRONTEND=noninteractive apt-get install -y redis-tools </dev/null ||
        fail "that failed; $advice"
}

root=$(dirname -- "$(readlink -f -- "$0")")/..
cd -- "$root"

command -v cargo >/dev/null || fail "cargo is missing; install Rust from https://rustup.rs"
missing=$(missing_tools)
if [ -n "$missing" ]; then
    say "missing: $missing"
    install_redis_tools
    missing=$(missing_tools)
    [ -z "$missing" ] || fail "redis-tools is installed, and yet there is no $missing"
fi

say "runs what needs nothing but Rust"
cargo test --locked
say "runs what needs redis-cli and redis-benchmark, and what needs a release build"
cargo test --locked --test tools --test your_program
echo "everything passed"
