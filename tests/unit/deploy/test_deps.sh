#!/bin/sh
# test_deps.sh - deploy/deps against sample machines: apt and dpkg are played by stubs, apt's
# configuration lies under $work/root.
. "${srcdir:-.}/tests/lib/tap.sh"

root=$work/root
deps=$source_root/deploy/deps
backports=$root/etc/apt/sources.list.d/triarch-backports.sources
pin=$root/etc/apt/preferences.d/triarch-backports

# The stubs: a package is installed when it is listed in $work/installed; libraft-dev 0.22 is a
# candidate when $work/raft says so, or after an update once it is pinned.
mkdir -p "$work/bin"
cat >"$work/bin/id" <<'STUB'
#!/bin/sh
echo "${STUB_UID:-0}"
STUB
cat >"$work/bin/dpkg-query" <<'STUB'
#!/bin/sh
for last in "$@"; do :; done
line=$(grep "^$last " "$STUB_WORK/installed") || exit 1
echo "installed ${line#* }"
STUB
cat >"$work/bin/apt-cache" <<'STUB'
#!/bin/sh
version=1.0
[ "$2" != libraft-dev ] || version=$(cat "$STUB_WORK/raft")
if grep -q "^$2\$" "$STUB_WORK/unknown"; then version='(none)'; fi
printf '%s:\n  Installed: (none)\n  Candidate: %s\n' "$2" "$version"
STUB
cat >"$work/bin/apt-get" <<'STUB'
#!/bin/sh
echo "$*" >>"$STUB_WORK/calls"
case $* in
*install*) exit 0 ;;
esac
if [ -s "$STUB_WORK/failures" ]; then
    sed -i 1d "$STUB_WORK/failures"
    exit 100
fi
if [ -f "$STUB_PIN" ]; then
    echo '0.22.1-1~bpo12+1' >"$STUB_WORK/raft"
fi
STUB
chmod +x "$work"/bin/*
export STUB_WORK="$work" STUB_PIN="$pin"
export TRIARCH_DEPS_ROOT="$root" TRIARCH_DEPS_RETRY_S=0

# A fresh machine: bookworm with nothing installed and libraft 0.15.
machine() {
    rm -rf "$root" "$work/calls"
    mkdir -p "$root/etc/apt/sources.list.d"
    printf 'ID=debian\nVERSION_CODENAME=%s\n' "${1:-bookworm}" >"$root/etc/os-release"
    echo "${2:-0.15.0-1}" >"$work/raft"
    : >"$work/installed"
    : >"$work/unknown"
    : >"$work/failures"
}

run_deps() {
    output=$(PATH=$work/bin:$PATH "$deps" "$@" 2>&1 </dev/null)
    status=$?
}

stanzas() {
    grep -v '^#' "$backports" | sed '/^$/d'
}

# ---- formats of sources ----

machine
cat >"$root/etc/apt/sources.list.d/debian.sources" <<'END'
Types: deb
# http://snapshot.example/archive
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
run_deps build
is "deb822: success" "$status" 0
is "deb822: mirror and key are carried over" "$(stanzas)" "Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
is "only libraft comes from there" "$(grep -v '^#' "$pin")" "Package: *
Pin: release n=bookworm-backports
Pin-Priority: 50

Package: libraft0 libraft-dev
Pin: release n=bookworm-backports
Pin-Priority: 600"
is "update, update with backports, install" "$(grep -c update "$work/calls")" 2
contains "libraft-dev is installed" "$(tail -n 1 "$work/calls")" " libraft-dev "
contains "without recommended packages" "$(tail -n 1 "$work/calls")" "--no-install-recommends"

before=$(cat "$backports" "$pin")
echo 0.15.0-1 >"$work/raft"
run_deps build
is "again: the same files" "$(cat "$backports" "$pin")" "$before"

machine
cat >"$root/etc/apt/sources.list" <<'END'
# deb http://old.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm main contrib # local
deb http://mirror.example/debian bookworm-updates main
deb http://mirror.example/debian-security bookworm-security main
deb http://other.example/debian bookworm contrib
deb cdrom:[Debian 12]/ bookworm main
END
run_deps build
is "one-line: success" "$status" 0
is "one-line: options are carried over" "$(stanzas)" "Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main
Architectures: amd64 arm64
signed-by: /usr/share/keyrings/k.gpg"

machine
cat >"$root/etc/apt/sources.list.d/x.list" <<'END'
deb	http://mirror.example/debian	bookworm	main
END
run_deps build
is "one-line without options, tabs" "$(stanzas)" "Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main"

machine
cat >"$root/etc/apt/sources.list.d/debian.sources" <<'END'
Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb deb-src
URIs: http://a.example/debian
 http://b.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
END
run_deps build
is "deb822: several mirrors, a key inside, one disabled" "$(stanzas)" "Types: deb
URIs: http://a.example/debian
 http://b.example/debian
Suites: bookworm-backports
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----"

# ---- machines ----

machine
echo 'deb http://mirror.example/debian bookworm-backports main' >"$root/etc/apt/sources.list"
run_deps build
is "backports there already: no second source" "$(ls "$root/etc/apt/sources.list.d")" ""
is "backports there already: its priority is left alone" "$(grep -v '^#' "$pin")" \
    "Package: libraft0 libraft-dev
Pin: release n=bookworm-backports
Pin-Priority: 600"

machine trixie 0.22.1-1
echo libmsgpack-c-dev >"$work/unknown"
run_deps test
is "trixie: success" "$status" 0
is "trixie: apt's configuration is left alone" "$(find "$root/etc/apt" -type f)" ""
contains "an alternative is taken" "$(tail -n 1 "$work/calls")" " libmsgpack-dev "
contains "test installs check" "$(tail -n 1 "$work/calls")" " check "

machine
run_deps build
is "no source of the suite: failure" "$status" 1
contains "no source of the suite: says so" "$output" "no apt source names the suite bookworm"

machine
echo 'deb http://mirror.example/debian bookworm main' >"$root/etc/apt/sources.list"
echo libuv1-dev >"$work/unknown"
run_deps build
is "a package that does not exist: failure" "$status" 1
contains "a package that does not exist: named" "$output" "no package libuv1-dev in"

machine
echo 'deb http://mirror.example/debian bookworm main' >"$root/etc/apt/sources.list"
printf 'x\nx\n' >"$work/failures"
run_deps build
is "update is repeated" "$status $(grep -c update "$work/calls")" "0 4"

machine trixie 0.22.1-1
printf 'x\nx\nx\nx\n' >"$work/failures"
run_deps build
is "a broken source of somebody else does not stop it" "$status" 0

machine
for name in autoconf automake gcc make libc6-dev pkg-config xz-utils libuv1-dev liblmdb-dev \
    libmsgpack-dev libjansson-dev libyaml-dev libpcre2-dev libbsd-dev uthash-dev libmicrohttpd-dev \
    libxxhash-dev libcurl4-gnutls-dev libarchive-dev nettle-dev; do
    echo "$name 1.0"
done >"$work/installed"
echo 'deb http://mirror.example/debian bookworm main' >"$root/etc/apt/sources.list"
echo 'libraft-dev 0.15.0-1' >>"$work/installed"
run_deps build
contains "libraft 0.15 is replaced" "$output" "deps: installing libraft-dev"
sed -i 's/^libraft-dev .*/libraft-dev 0.22.1-1/' "$work/installed"
rm "$work/calls"
STUB_UID=1000 run_deps build
is "nothing missing: no root needed" "$output" "deps: everything is installed"
is "nothing missing: apt is not called" "$(ls "$work/calls" 2>/dev/null)" ""

printf '#!/bin/sh\nexit 1\n' >"$work/bin/sudo"
chmod +x "$work/bin/sudo"
STUB_UID=1000 run_deps test
is "no root and no way to it: failure" "$status" 1
contains "no root and no way to it: says what to do" "$output" "run deploy/deps as root"

run_deps everything
is "unknown argument: usage" "$status" 2

plan
