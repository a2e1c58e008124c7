#!/bin/sh
# Builds respool and runs it:
#
#   ./your_program.sh [FILE] [--key value ...]
#
# Without FILE it runs with config/respool.toml; --help tells the rest. It may be called from any
# directory, through a symbolic link too; relative paths among its arguments are the caller's.
set -eu

root=$(dirname -- "$(readlink -f -- "$0")")

if ! command -v cargo >/dev/null; then
    rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    echo "respool: building needs cargo, Rust $rust or newer; install it from https://rustup.rs" >&2
    exit 1
fi

# Named for both, cargo and exec; a relative CARGO_TARGET_DIR is relative to the caller's directory.
target=${CARGO_TARGET_DIR:-$root/target}
cargo build --release --locked --manifest-path "$root/Cargo.toml" --target-dir "$target" >&2

case ${1-} in
    '' | -*) set -- "$root/config/respool.toml" "$@" ;;
esac
exec "$target/release/respool" "$@"
