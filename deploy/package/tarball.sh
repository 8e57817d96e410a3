#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tarball.sh BINARY FILES OUT: a .tar.gz that runs on any Linux of the binary's processor, whatever C library it has.
#
# Every library goes with it, the C library and its loader too: bin/tailgate starts the loader of the tarball with the
# libraries of the tarball. FILES is the folder with the manual page and the completion; OUT is where the file goes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
binary=$1 files=$2 out=$3

version=$("$binary" --version | awk '{print $2; exit}')
name=tailgate-$version-linux-$(dpkg --print-architecture)
root=$out/$name
rm -rf "$root"
mkdir -p "$root"/{bin,lib/tailgate,share/licenses,share/man/man1,share/bash-completion/completions}

# librdkafka is loaded when a part that speaks Kafka starts, so the binary does not name it.
kafka=$(ldconfig -p | awk '$1 == "librdkafka.so.1" {print $NF; exit}')
[ -n "$kafka" ] || { echo "tarball: want librdkafka.so.1 (Debian: librdkafka1)" >&2; exit 1; }
mapfile -t libraries < <({ echo "$kafka"; ldd "$binary" "$kafka" | awk '$2 == "=>" && $3 ~ /^\// {print $3}'; } | sort -u)
loader=$(ldd "$binary" | awk '$1 ~ /^\/.*\/ld-linux/ {print $1; exit}')
for library in "${libraries[@]}"; do
  install -m 644 "$(readlink -f "$library")" "$root/lib/tailgate/$(basename "$library")"
done

# The process is named after the file that the kernel starts, which is the loader.
install -m 755 "$(readlink -f "$loader")" "$root/lib/tailgate/tailgate"
install -m 755 "$binary" "$root/lib/tailgate/tailgate.bin"
strip --strip-unneeded "$root/lib/tailgate/tailgate.bin"
cat >"$root/bin/tailgate" <<'SH'
#!/bin/sh
lib=$(dirname "$(readlink -f "$0")")/../lib/tailgate
exec "$lib/tailgate" --argv0 "$0" --library-path "$lib" "$lib/tailgate.bin" "$@"
SH
chmod 755 "$root/bin/tailgate"

# Whose each library is, by the package that brought it.
for library in "${libraries[@]}" "$loader"; do
  package=$(dpkg -S "$(readlink -f "$library")" 2>/dev/null || dpkg -S "*/$(basename "$(readlink -f "$library")")")
  package=${package%%:*}
  cp "/usr/share/doc/$package/copyright" "$root/share/licenses/$package"
done

cp LICENSE README.md CHANGELOG.md "$root"
cp -r config "$root/config"
cp deploy/tailgate.service "$root/share"
cp "$files/tailgate.1.gz" "$root/share/man/man1"
cp "$files/tailgate" "$root/share/bash-completion/completions"
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || date +%s)" \
  -cf - "$name" | gzip -9n >"$root.tar.gz"
rm -rf "$root"
echo "$root.tar.gz"
