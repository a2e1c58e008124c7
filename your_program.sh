#!/bin/sh
# Builds respool and runs it:
#
#   ./your_program.sh [FILE] [--key value ...]
#
# Without FILE it runs with config/respool.toml; --help tells the rest. It may be called from any
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
    # Whatever this is, the build will tell.
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
cargo build --release --locked --manifest-path "$root/Cargo.toml" --target-dir "$target" >&2

exec "$target/release/respool" --default-file "$root/config/respool.toml" "$@"
