#!/usr/bin/env bash
# need.sh COMMAND[:PACKAGE]...: installs the Debian packages of those commands
# that are missing (the package is called as the command, unless said). Where
# that is not possible it says so and goes on: the tests that need them skip.
set -euo pipefail

packages=()
for want in "$@"; do
	command -v "${want%%:*}" >/dev/null || packages+=("${want#*:}")
done
[ ${#packages[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" != 0 ]; then root=(sudo -n); fi
if ! command -v apt-get >/dev/null || ! "${root[@]}" true 2>/dev/null; then
	echo "missing: ${packages[*]}; tests that need them are skipped" >&2
	exit 0
fi
echo "installing what the tests need: ${packages[*]}" >&2
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >/dev/null; }
# Recommended packages and, where the system allows it, the start of services
# are left out: the tests start servers of their own.
install() { apt -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${packages[@]}"; }
install 2>/dev/null || { apt update && install; } ||
	echo "not installed: ${packages[*]}; tests that need them are skipped" >&2
