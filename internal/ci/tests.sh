#!/usr/bin/env bash
# tests.sh FLAGS...: go test FLAGS of this module's packages, which run side by
# side. Packages that fail, three at most, are tried once more by themselves: a
# machine that is busy with others' tests is not what is tested. Each of these is
# named at the end, so that somebody looks at it. A race, a panic and a build that
# fails are not tried again.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT

go test "$@" ./... 2>&1 | tee "$log" && exit 0
if grep -q 'DATA RACE\|^panic:\|^fatal error:\|\[build failed\]\|\[setup failed\]' "$log"; then
	exit 1
fi
failed=$(awk '$1 == "FAIL" && NF > 1 { print $2 }' "$log" | sort -u)
n=$(wc -w <<<"$failed")
if [ "$n" -eq 0 ] || [ "$n" -gt 3 ]; then
	exit 1
fi
for pkg in $failed; do
	echo "again, by itself: $pkg"
	go test -count=1 "$@" "$pkg" || exit 1
done
echo "failed beside others, passed by themselves:" $failed
