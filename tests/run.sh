#!/bin/sh
# Runs every test except tests/manual and tests/external/package.rs, from any directory:
#
#   tests/run.sh
#
# Installs redis-cli and redis-benchmark if they are missing, or says what to install. Installs valgrind
# and the programs that real clients need, too; if that fails, skips their tests and says so.
#
# redis-tools has a redis-server, which Debian calls redis-check-rdb. The package redis-server would add
# a service, which starts with the machine.
set -eu

say() {
    echo "tests/run.sh: $1"
}

fail() {
    say "$1" >&2
    exit 1
}

# Prints the named programs that are not installed.
missing() {
    for program in "$@"; do
        command -v "$program" >/dev/null || printf '%s ' "$program"
    done
}

# Runs a command as root if that needs no password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@" </dev/null
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@" </dev/null
    else
        say "this needs root, or sudo without a password"
        return 1
    fi
}

# Installs Debian packages. The exit code says whether it succeeded.
install() {
    command -v apt-get >/dev/null && as_root true || return 1
    if [ -z "$updated" ]; then
        updated=yes
        say "runs apt-get update"
        as_root apt-get update || say "that failed; tries with the old list"
    fi
    say "runs apt-get install $*"
    as_root sh -c "$without_services" sh "$@"
}
updated=

# Installs packages without starting their services, such as nginx on port 80: Debian's tools ask the
# policy before they start one.
without_services='
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap "rm -f $policy" EXIT INT TERM
        printf "#!/bin/sh\nexit 101\n" >$policy
        chmod +x $policy
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"'

# haproxy and nginx are in root's PATH only.
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

# One by one: if one cannot be installed, the others still can.
while read -r program package; do
    [ -z "$(missing "$program")" ] || install "$package" ||
        say "goes on without $program"
done <<END
chromium chromium
haproxy haproxy
logrotate logrotate
node nodejs
npm npm
openssl openssl
promtool prometheus
python3 python3
strace strace
ss iproute2
stunnel stunnel4
systemd-analyze systemd
testssl testssl.sh
valgrind valgrind
END
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || install nginx libnginx-mod-stream ||
    say "goes on without nginx and its stream module"
python3 -m pip --version >/dev/null 2>&1 || install python3-pip || say "goes on without pip"

say "runs the tests that need nothing but Rust"
# Most of them wait rather than compute.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} cargo test --locked
say "checks the pool over many interleavings, for a minute"
cargo test --locked --profile model -p respool-model
say "runs the tests that need redis-server, redis-cli, redis-benchmark or a build of their own"
cargo test --locked --test redis_server --test tools --test your_program --test readme --test stranger
say "checks /metrics with promtool and ss"
cargo test --locked --test operators
say "restarts the server by socket activation, under load"
cargo test --locked --test restarts
say "checks dist/ with systemd's tools, strace and logrotate"
cargo test --locked --test dist
say "runs the tests of the benchmark, which needs a release build too"
cargo test --locked -p respool-duel
say "runs the tests of the model of many cores"
cargo test --locked -p respool-cores
say "counts the instructions of a PING"
cargo test --locked --test instructions
say "runs real clients, and prints what it installs for them"
cargo test --locked --test interop
say "runs the recipes of docs with real balancers"
cargo test --locked --test recipes
echo "everything passed"
