# Sourced by the scripts: paths, and installation of what is missing.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
TARGET="${CARGO_TARGET_DIR:-$ROOT/target}"
cd "$ROOT"

say() { printf '\n== %s\n' "$*"; }

# Installs Debian packages for commands that are missing: need COMMAND PACKAGE [COMMAND PACKAGE …]
need() {
    local packages=()
    while [ $# -ge 2 ]; do
        [ -e "$1" ] || command -v "$1" >/dev/null || packages+=("$2")
        shift 2
    done
    [ ${#packages[@]} -eq 0 ] && return
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo=(sudo)
    fi
    say "installing ${packages[*]}"
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

need_mingw() {
    need make make x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64 i686-w64-mingw32-gcc gcc-mingw-w64-i686 \
        x86_64-w64-mingw32-g++ g++-mingw-w64-x86-64 i686-w64-mingw32-g++ g++-mingw-w64-i686 clang clang
}

# Go and Rust for Windows, for the programs of test-binaries/languages.
need_languages() {
    need go golang-go
    rustup target add x86_64-pc-windows-gnu >/dev/null 2>&1 || true
}

need_rust() {
    command -v cargo >/dev/null || { echo "Rust is needed: https://rustup.rs" >&2; exit 1; }
}
