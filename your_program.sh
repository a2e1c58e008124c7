#!/bin/sh
# Builds respool and runs it:
#
#   ./your_program.sh [FILE] [--key value ...]
#
# Without FILE it runs with config/respool.toml; --help lists the keys. It may be called from any
# directory, through a symbolic link too; relative paths among its arguments are the caller's.
set -eu

root=$(dirname -- "$(readlink -f -- "$0")")

needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
if ! command -v cargo >/dev/null; then
    echo "respool: building needs cargo, Rust $needed or newer; install it from https://rustup.rs" >&2
    exit 1
fi

# An older cargo stops at what it does not know in Cargo.toml or Cargo.lock, and does not say why.
version=$(cargo --version 2>/dev/null) || version=
version=${version#cargo }
major=${version%%.*}
minor=${version#*.}
minor=${minor%%[!0-9]*}
case $major,$minor in
    # An unknown form of version: the build shows whether it is new enough.
    *[!0-9,]* | ,* | *,) ;;
    *)
        needed_major=${needed%%.*} needed_minor=${needed#*.}
        if [ "$major" -lt "$needed_major" ] ||
            { [ "$major" -eq "$needed_major" ] && [ "$minor" -lt "${needed_minor%%.*}" ]; }; then
            echo "respool: building needs cargo, Rust $needed or newer, and this is cargo $version;" \
                "run \`rustup update\`, or install it from https://rustup.rs" >&2
            exit 1
        fi
        ;;
esac

# Named for both, cargo and exec; a relative CARGO_TARGET_DIR is relative to the caller's directory.
target=${CARGO_TARGET_DIR:-$root/target}

# Cargo writes to a pipe below, and would leave out the colours of a terminal.
color=auto
[ ! -t 2 ] || [ -n "${NO_COLOR-}" ] || color=always

# Runs cargo; if it fails, its exit code is the last line.
build() {
    CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-$color} cargo build --release --locked \
        --manifest-path "$root/Cargo.toml" --target-dir "$target" 2>&1 || echo "exit code $?"
}

# Prints what cargo says, except that it has finished. Returns cargo's exit code.
show() {
    has_begun=
    while IFS= read -r line; do
        case $line in
            "exit code "*) return "${line#exit code }" ;;
            *Finished*release*) continue ;;
            *Updating* | *Downloading* | *Compiling*)
                [ -n "$has_begun" ] ||
                    echo "respool: building, which takes about a minute the first time"
                has_begun=yes
                ;;
        esac
        printf '%s\n' "$line"
    done
}

build | show >&2

exec "$target/release/respool" --default-file "$root/config/respool.toml" "$@"
