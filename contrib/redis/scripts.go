package redis

import (
	"crypto/sha1"
	"encoding/hex"
)

// A record is a hash with the fields
//
//	s state   o owner    f fence   v version   n attempts   t taken: 1 or 0
//	d end of the lease, ms of server time      h fingerprint
//	st step   m its number   r result
//
// The rules are those of idem.Record; the suite compares the two. All reads
// come before all writes, as a script that fails is not rolled back. Numbers are
// written by int: Lua would make 1.7e+15 of a fence. Redis forgets by itself:
// PEXPIRE is never less than the lease, for what runs must not be forgotten.

// script is one change, by its text and the name that the server knows it by.
type script struct {
	text, sha string
	waits     bool // for replicas, if there are to be some

	byName, byText []byte // the beginning of the command, up to the key
}

// newScript makes one that has so many arguments.
func newScript(args int, waits bool, text string) *script {
	sum := sha1.Sum([]byte(text))
	sc := &script{text: text, sha: hex.EncodeToString(sum[:]), waits: waits}
	head := func(command, what string) []byte {
		b := appendWord(appendHead(nil, 4+args), command)
		return appendWord(appendWord(b, what), "1")
	}
	sc.byName, sc.byText = head("EVALSHA", sc.sha), head("EVAL", text)
	return sc
}

// appendByName appends the command that runs the script on a key.
func (sc *script) appendByName(b []byte, key string, args []arg) []byte {
	return appendArgs(append(b, sc.byName...), key, args)
}

// appendByText does the same for a server that does not know it.
func (sc *script) appendByText(b []byte, key string, args []arg) []byte {
	return appendArgs(append(b, sc.byText...), key, args)
}

func appendArgs(b []byte, key string, args []arg) []byte {
	b = appendWord(b, key)
	for _, a := range args {
		b = a.appendTo(b)
	}
	return b
}

const prelude = `
local k = KEYS[1]
local function int(x) return string.format('%.0f', x) end
local function clock()
	local t = redis.call('TIME')
	return t[1] * 1000000 + t[2]
end
`

// begin: ARGV owner, fingerprint, lease, retention (ms), attempts.
// It answers name, resent, version, fence, attempts, lease left (ms), step, result.
var begin = newScript(5, true, prelude+`
local owner, fp, lease, retain, max = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local us = clock()
local now = math.floor(us / 1000)
local r = redis.call('HMGET', k, 's', 'o', 'f', 'v', 'n', 't', 'd', 'h', 'st', 'r')
local s, o, f, v, n = r[1], r[2], tonumber(r[3] or 0), tonumber(r[4] or 0), tonumber(r[5] or 0)
local left = tonumber(r[7] or 0) - now
local function answer(name, resent, step, result)
	return {name, resent, int(v), int(f), int(n), int(left), step or '', result or ''}
end

if s and r[8] ~= fp then return answer('mismatch', 0) end
if s == 'D' then return answer('done', 0, nil, r[10]) end
if s == 'F' then return answer('failed', 0, nil, r[10]) end
if s == 'U' then return answer('unknown', 0, r[9]) end
if s == 'R' and o == owner then return answer('late', 0) end
if s == 'P' and o == owner then
	redis.call('HSET', k, 'd', int(now + lease))
	return answer(r[6] == '1' and 'takeover' or 'new', 1, r[9])
end
if s == 'P' and left > 0 then return answer('busy', 0) end
if s == 'P' and n >= max then return answer('stuck', 0, r[9]) end

local taken = s == 'P'
f = math.max(us, f + 1)
v, n = v + 1, n + 1
redis.call('HSET', k, 's', 'P', 'o', owner, 'f', int(f), 'v', int(v), 'n', int(n),
	't', taken and '1' or '0', 'd', int(now + lease), 'h', fp, 'm', '0')
redis.call('HDEL', k, 'r')
if not taken then redis.call('HDEL', k, 'st') end
redis.call('PEXPIRE', k, int(math.max(retain, lease)))
return answer(taken and 'takeover' or 'new', 0, taken and r[9] or '')
`)

// renew: ARGV owner, fence, lease, retention (ms), number of the step or 0, step.
var renew = newScript(6, false, prelude+`
local lease, retain, no = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local r = redis.call('HMGET', k, 's', 'o', 'f', 'm')
if not r[1] or r[2] ~= ARGV[1] or (ARGV[2] ~= '0' and r[3] ~= ARGV[2]) then return 'lost' end
if r[1] ~= 'P' then return 'conflict' end
local now = math.floor(clock() / 1000)
redis.call('HSET', k, 'd', int(now + lease))
if no > tonumber(r[4] or 0) then redis.call('HSET', k, 'st', ARGV[6], 'm', int(no)) end
redis.call('PEXPIRE', k, int(math.max(retain, lease)))
return 'ok'
`)

const ending = `
local function finish(state, result, retain, v)
	redis.call('HSET', k, 's', state, 'r', result, 'v', int(v + 1))
	if state == 'R' then
		redis.call('HSET', k, 'n', '0', 't', '0')
		redis.call('HDEL', k, 'st')
	end
	if state == 'U' then redis.call('PERSIST', k) else redis.call('PEXPIRE', k, retain) end
end
`

// finish: ARGV owner, fence, state, result, retention (ms), fingerprint.
var finish = newScript(6, true, prelude+ending+`
local owner, fence, state = ARGV[1], ARGV[2], ARGV[3]
local r = redis.call('HMGET', k, 's', 'o', 'f', 'v')
if not r[1] then
	if state == 'R' then return 'ok' end
	redis.call('HSET', k, 'o', owner, 'f', fence, 'h', ARGV[6], 'n', '0', 't', '0', 'm', '0')
	finish(state, ARGV[4], ARGV[5], 0)
	return 'healed'
end
if r[2] ~= owner or (fence ~= '0' and r[3] ~= fence) then return 'lost' end
if r[1] == state then return 'ok' end
if r[1] ~= 'P' then return 'conflict' end
finish(state, ARGV[4], ARGV[5], tonumber(r[4]))
return 'ok'
`)

// resolve: ARGV version, state, result, retention (ms).
var resolve = newScript(4, true, prelude+ending+`
local version, state = tonumber(ARGV[1]), ARGV[2]
local r = redis.call('HMGET', k, 's', 'v', 'd')
if not r[1] then return 'lost' end
local v = tonumber(r[2])
if r[1] == state and v == version + 1 then return 'ok' end
if v ~= version then return 'conflict' end
if r[1] == 'P' and tonumber(r[3]) > math.floor(clock() / 1000) then return 'conflict' end
if r[1] ~= 'P' and r[1] ~= 'U' then return 'conflict' end
finish(state, ARGV[3], ARGV[4], v)
return 'ok'
`)

// lookup answers the fields in the order of fields, then the lease's and the
// record's time left in ms; -1: for good.
var lookup = newScript(0, false, prelude+`
local r = redis.call('HMGET', k, 's', 'o', 'f', 'v', 'n', 't', 'h', 'st', 'm', 'r', 'd')
if not r[1] then return {} end
for i = 1, 10 do r[i] = r[i] or '' end
r[11] = int(tonumber(r[11] or 0) - math.floor(clock() / 1000))
r[12] = int(redis.call('PTTL', k))
return r
`)
