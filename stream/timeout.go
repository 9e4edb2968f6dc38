package stream

import (
	"strconv"
	"time"
)

// never is a time-out that does not come.
const never = time.Duration(1<<63 - 1)

// parseTimeout reads a grpc-timeout: at most eight digits and a unit.
func parseTimeout(s string) (d time.Duration, ok bool) {
	n := len(s) - 1
	if n < 1 || n > 8 {
		return 0, false
	}
	var v int64
	for i := range n {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		v = v*10 + int64(s[i]-'0')
	}
	unit := unitOf(s[n])
	if unit == 0 {
		return 0, false
	}
	if v > int64(never/unit) {
		return never, true // some 292 years, which hours can exceed
	}
	return time.Duration(v) * unit, true
}

func unitOf(b byte) time.Duration {
	switch b {
	case 'n':
		return time.Nanosecond
	case 'u':
		return time.Microsecond
	case 'm':
		return time.Millisecond
	case 'S':
		return time.Second
	case 'M':
		return time.Minute
	case 'H':
		return time.Hour
	}
	return 0
}

// appendTimeout writes a grpc-timeout in the finest unit that eight digits
// hold, rounded up: late is better than early. Durations below 0 are 0.
func appendTimeout(dst []byte, d time.Duration) []byte {
	const most = 99_999_999
	d = max(d, 0)
	for _, u := range [...]byte{'n', 'u', 'm', 'S', 'M'} {
		unit := unitOf(u)
		v := d / unit
		if d%unit > 0 {
			v++
		}
		if v <= most {
			return append(strconv.AppendInt(dst, int64(v), 10), u)
		}
	}
	hours := d / time.Hour
	if d%time.Hour > 0 {
		hours++
	}
	return append(strconv.AppendInt(dst, int64(hours), 10), 'H')
}
