package redis

import (
	"fmt"
	"strings"
)

// Judge is judge.
var Judge = judge

// Mutate breaks the scripts in the way of that name, for the tests that have to
// notice.
func Mutate(name string) {
	m, known := mutations[name]
	if !known {
		panic("no mutation " + name)
	}
	broken := 0
	for sc, args := range map[**script]int{&begin: 5, &renew: 6, &finish: 6, &resolve: 4, &lookup: 0} {
		text := strings.ReplaceAll((*sc).text, m.right, m.wrong)
		if text != (*sc).text {
			broken++
			*sc = newScript(args, (*sc).waits, text)
		}
	}
	if broken == 0 {
		panic(fmt.Sprintf("mutation %s changes nothing", name))
	}
}

// Mutations are their names.
func Mutations() (names []string) {
	for name := range mutations {
		names = append(names, name)
	}
	return names
}

var mutations = map[string]struct{ right, wrong string }{
	"anybody may end it":         {"if r[2] ~= owner or (fence ~= '0' and r[3] ~= fence) then return 'lost' end", ""},
	"anybody may renew it":       {"if not r[1] or r[2] ~= ARGV[1] or (ARGV[2] ~= '0' and r[3] ~= ARGV[2]) then return 'lost' end", "if not r[1] then return 'lost' end"},
	"it expires with its lease":  {"redis.call('PEXPIRE', k, int(math.max(retain, lease)))", "redis.call('PEXPIRE', k, int(math.max(lease, 1)))"},
	"tostring":                   {"return string.format('%.0f', x)", "return tostring(x)"},
	"the fence does not rise":    {"f = math.max(us, f + 1)", "f = us - 1e15"},
	"a lost answer is not known": {"if s == 'P' and o == owner then", "if false then"},
	"another request passes":     {"if s and r[8] ~= fp then return answer('mismatch', 0) end", ""},
	"a lease ends at once":       {"if s == 'P' and left > 0 then", "if false then"},
}
