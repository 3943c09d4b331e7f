#!/usr/bin/env bash
# Installs DjStream, or builds and runs it from this checkout. `./install.sh --help` says how.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly RUST_MIN="1.90" NODE_MIN="20.19" MEMORY_MIN_MIB=1800 DISK_MIN_MIB=4500
readonly PROGRAMS=(djstream djstreamctl)
readonly SERVICES=(gateway channel video interaction notification)
readonly PREFIX="${DJSTREAM_PREFIX:-/usr/local}" CONFIG=/etc/djstream.toml DATA=/var/lib/djstream UNITS=/etc/systemd/system

say() { printf '%s\n' "$*"; }
fail() { local code=$1; shift; printf 'install.sh: %s\n' "$*" >&2; exit "$code"; }
have() { command -v "$1" >/dev/null 2>&1; }

usage() {
  cat <<'TEXT'
Usage: ./install.sh [--run | --build | --uninstall | --help]

  (nothing)     install for good: programs in /usr/local/bin, a user 'djstream',
                systemd units, /etc/djstream.toml, data in /var/lib/djstream
  --run         build, and run from this checkout with the data in ./data
  --build       build only: target/release/djstream and target/release/djstreamctl
  --uninstall   remove programs and units; settings and data stay

Exit status: 0 done, 1 failed, 2 wrong usage, 3 something must be installed by hand first.
TEXT
}

# Whether version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The packages that are missing, by Debian's names.
missing_packages() {
  have ffmpeg && have ffprobe || printf 'ffmpeg '
  have cc && have make || printf 'build-essential '
}

check_tools() {
  have cargo || fail 3 "Rust is missing. Install it from https://rustup.rs, then run this again."
  local rust node
  rust=$(rustc --version | cut -d' ' -f2)
  at_least "$rust" "$RUST_MIN" || fail 3 "Rust $RUST_MIN or later is needed, here is $rust. Type: rustup update stable"
  have node && have npm || fail 3 "Node.js is missing ($NODE_MIN or later, with npm). See https://nodejs.org."
  node=$(node --version | tr -d v)
  at_least "$node" "$NODE_MIN" || fail 3 "Node.js $NODE_MIN or later is needed, here is $node."
}

# A build needs room; a box without it fails late and obscurely, so it is said early and clearly.
check_room() {
  local memory_mib disk_mib
  memory_mib=$(awk '/^(MemAvailable|SwapFree):/ { kib += $2 } END { print int(kib / 1024) }' /proc/meminfo)
  disk_mib=$(df -Pm . | awk 'NR == 2 { print $4 }')
  if [ "$memory_mib" -lt "$MEMORY_MIN_MIB" ]; then
    fail 1 "building needs $MEMORY_MIN_MIB MiB of free memory and swap, here are $memory_mib. Add swap, or build on another machine and copy target/release/djstream and djstreamctl."
  fi
  if [ "$disk_mib" -lt "$DISK_MIN_MIB" ] && [ ! -x target/release/djstream ]; then
    fail 1 "building needs $DISK_MIN_MIB MiB of free disk, here are $disk_mib."
  fi
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

may_be_root() {
  [ "$(id -u)" -eq 0 ] || { have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }
}

install_packages() {
  local packages
  packages=$(missing_packages)
  [ -n "$packages" ] || return 0
  # shellcheck disable=SC2086 # a list of words
  set -- $packages
  have apt-get || fail 3 "install these with your package manager, then run this again: $*"
  may_be_root || fail 3 "these packages are missing: $*. Type: sudo apt-get install -y $*"
  say "Installing $* …"
  as_root apt-get update -qq >/dev/null || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null ||
    fail 1 "apt-get could not install $*. What it said stands above."
}

# Says what will happen, in one screen, before anything happens.
announce() {
  local packages
  packages=$(missing_packages)
  say "DjStream: video sharing for a small community, on one box."
  say ""
  if [ -n "$packages" ]; then
    say "  packages   ${packages}(ffmpeg reads and converts films; build-essential links the programs)"
  else
    say "  packages   nothing to install"
  fi
  say "  web app    built with npm into web/dist"
  say "  programs   built with cargo into target/release: djstream, djstreamctl"
  say "  $1"
  say ""
}

# Whether the web app is older than what it is made of.
web_is_stale() {
  [ -f web/dist/index.html ] || return 0
  [ -n "$(find web -newer web/dist/index.html -type f -not -path 'web/dist/*' -not -path 'web/node_modules/*' -print -quit)" ]
}

build_web() {
  web_is_stale || { say "Web app: up to date."; return; }
  say "Web app: fetching its parts and building …"
  (cd web && npm ci --no-audit --no-fund --loglevel=error && npm run build --silent -- --logLevel warn) >&2 ||
    fail 1 "the web app could not be built. What npm said stands above."
  touch web/dist/index.html
}

# cargo's own lines are many; every twentieth crate is enough to see that it goes on.
count_crates() {
  awk '
    /^ *(Compiling|Checking)/ { if (++crates % 20 == 0) { printf "  %d crates compiled, now %s\n", crates, $2; fflush() } next }
    /^ *(Downloading|Downloaded|Updating|Locking|Blocking)/ { next }
    { print; fflush() }
  '
}

build_programs() {
  say "Programs: building (the first time takes some minutes) …"
  # The linker of one large program needs about a gigabyte: fewer at once where memory is short.
  local jobs memory_mib
  memory_mib=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
  jobs=$(nproc)
  [ "$memory_mib" -ge $((jobs * 1200)) ] || jobs=1
  cargo build --release --locked --jobs "$jobs" -p djstream -p djstreamctl 2>&1 | count_crates ||
    fail 1 "the programs could not be built. What cargo said stands above."
}

build() {
  check_tools
  check_room
  install_packages
  build_web
  build_programs
}

run_here() {
  announce "then       starts all five services with the settings in djstream.toml and the data in ./data"
  build
  say "Starting …"
  exec target/release/djstream up --config djstream.toml --data data
}

install_programs() {
  for program in "${PROGRAMS[@]}"; do
    # Renamed into place: a running program keeps its old file.
    as_root install -m 0755 "target/release/$program" "$PREFIX/bin/.$program.new"
    as_root mv -f "$PREFIX/bin/.$program.new" "$PREFIX/bin/$program"
  done
}

install_user_and_folders() {
  if ! getent passwd djstream >/dev/null; then
    as_root useradd --system --user-group --home-dir "$DATA" --no-create-home --shell /usr/sbin/nologin djstream
  fi
  as_root install -d -m 0750 -o djstream -g djstream "$DATA"
  [ -e "$CONFIG" ] || as_root install -m 0644 djstream.toml "$CONFIG"
}

install_units() {
  local service unit
  for service in "${SERVICES[@]}"; do
    unit=$(mktemp)
    sed -e "s|@SERVICE@|$service|g" -e "s|@PREFIX@|$PREFIX|g" -e "s|@CONFIG@|$CONFIG|g" -e "s|@DATA@|$DATA|g" \
      install/djstream.service.in >"$unit"
    as_root install -m 0644 "$unit" "$UNITS/djstream-$service.service"
    rm -f "$unit"
  done
  as_root install -m 0644 install/djstream.target "$UNITS/djstream.target"
  have systemd-analyze || return 0
  systemd-analyze verify "$UNITS"/djstream-*.service "$UNITS/djstream.target" ||
    fail 1 "systemd does not accept the units. What it said stands above."
}

install_for_good() {
  announce "then       installs them in $PREFIX/bin, with a user 'djstream', $CONFIG, $DATA, and systemd units"
  may_be_root || fail 3 "installing for good needs root. Type: sudo ./install.sh"
  build
  install_programs
  install_user_and_folders
  if ! have systemctl || [ ! -d /run/systemd/system ]; then
    [ ! -d "$UNITS" ] || install_units
    say "Installed. There is no systemd running here; start DjStream with:"
    say "  runuser -u djstream -- $PREFIX/bin/djstream up --config $CONFIG --data $DATA"
    return
  fi
  install_units
  as_root systemctl daemon-reload
  as_root systemctl enable --now djstream.target
  say "Installed and started. What it says: journalctl -u 'djstream-*' -f"
  say "Make the first account: djstreamctl --data $DATA user create --admin"
}

uninstall() {
  may_be_root || fail 3 "uninstalling needs root. Type: sudo ./install.sh --uninstall"
  if have systemctl && [ -d /run/systemd/system ]; then
    as_root systemctl disable --now djstream.target "${SERVICES[@]/#/djstream-}" 2>/dev/null || true
  fi
  local program service
  for service in "${SERVICES[@]}"; do as_root rm -f "$UNITS/djstream-$service.service"; done
  as_root rm -f "$UNITS/djstream.target"
  for program in "${PROGRAMS[@]}"; do as_root rm -f "$PREFIX/bin/$program"; done
  if have systemctl && [ -d /run/systemd/system ]; then as_root systemctl daemon-reload; fi
  say "Removed. Settings in $CONFIG and data in $DATA were left where they are."
}

[ $# -le 1 ] || { usage >&2; exit 2; }
case "${1:-}" in
  "") install_for_good ;;
  --run) run_here ;;
  --build)
    announce "then       nothing: --run would start them, no option installs them for good"
    build
    say "Built: target/release/djstream, target/release/djstreamctl"
    ;;
  --uninstall) uninstall ;;
  --help | -h) usage ;;
  *) usage >&2; exit 2 ;;
esac
