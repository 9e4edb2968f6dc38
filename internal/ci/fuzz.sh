#!/usr/bin/env bash
# fuzz.sh TIME: each fuzz target of this module for TIME. An input that fails is
# left in the package's testdata/fuzz.
#
# Go's fuzzer itself fails now and then when its time is over: the deadline
# reaches the coordinator before it reaches the workers' context, which is taken
# for an error (golang/go#75804). That, alone, is the line "context deadline
# exceeded" and no input. Such a run is repeated, twice at most; whatever else
# fails, fails.
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# 0: passed. 1: failed. 2: the fuzzer's own race at the end of its time.
fuzz() { # PACKAGE TARGET TIME
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 2s "$1" </dev/null 2>&1 |
		tee "$log" && return 0
	grep -q 'Failing input\|panic\|DATA RACE' "$log" && return 1
	# What the failure says, between its own line and the last FAIL.
	said=$(sed -n '/^--- FAIL/,/^FAIL/p' "$log" | grep -v '^--- FAIL\|^FAIL' | tr -d ' \t\n')
	[ "$said" = contextdeadlineexceeded ] && return 2
	return 1
}

list=$(go test -list '^Fuzz' ./...)
awk '/^Fuzz/ { f[++n] = $1 } /^ok/ { for (i = 1; i <= n; i++) print $2, f[i]; n = 0 }' <<<"$list" |
	while read -r pkg target; do
		echo "$pkg $target"
		for try in 1 2 3; do
			code=0
			fuzz "$pkg" "$target" "$1" || code=$?
			[ $code = 2 ] || break
			echo "the fuzzer's own race at the end of its time: again ($try)"
		done
		[ $code = 0 ] || exit 1
	done
