package healthgrpc

import (
	"encoding/binary"
	"unicode/utf8"
)

// The messages have a field or two, so they are read and written by hand
// (protobuf.dev/programming-guides/encoding, grpc/health/v1/health.proto):
//
//	HealthCheckRequest   string service = 1
//	HealthCheckResponse  ServingStatus status = 1
//	HealthListResponse   map<string, HealthCheckResponse> statuses = 1

// Wire types.
const (
	varint  = 0
	fixed64 = 1
	bytes   = 2
	fixed32 = 5
)

// maxName is how many bytes the name of a service may have. A Watch keeps the one
// that it is asked for, so without a limit there would be as much of the peer's in
// memory as messages may be long, times Config.Watchers.
const maxName = 1 << 10

// request returns the service that is asked for.
func request(p []byte) (service string, err error) {
	service, ok := parseRequest(p)
	switch {
	case !ok:
		return "", errOdd
	case len(service) > maxName:
		return "", errLong
	}
	return service, nil
}

// parseRequest reads a HealthCheckRequest. Fields that it does not know are passed
// over; of several of the one that it does, the last counts.
func parseRequest(p []byte) (service string, ok bool) {
	for len(p) > 0 {
		tag, n := binary.Uvarint(p)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return "", false
		}
		p = p[n:]
		value, rest, ok := field(p, tag&7)
		if !ok {
			return "", false
		}
		if p = rest; tag == 1<<3|bytes {
			if service = string(value); !utf8.ValidString(service) {
				return "", false
			}
		}
	}
	return service, true
}

// field splits a field's value off.
func field(p []byte, kind uint64) (value, rest []byte, ok bool) {
	n := 0
	switch kind {
	case varint:
		_, n = binary.Uvarint(p)
	case fixed64:
		n = 8
	case fixed32:
		n = 4
	case bytes:
		size, head := binary.Uvarint(p)
		if head <= 0 || size > uint64(len(p)-head) {
			return nil, nil, false
		}
		p, n = p[head:], int(size)
		return p[:n], p[n:], true
	}
	if n <= 0 || n > len(p) {
		return nil, nil, false // groups, too: proto3 has none
	}
	return p[:n], p[n:], true
}

// appendResponse appends a HealthCheckResponse.
func appendResponse(m []byte, status byte) []byte { return append(m, 1<<3|varint, status) }

// appendEntry appends an entry of a HealthListResponse.
func appendEntry(m []byte, service string, status byte) []byte {
	key := binary.AppendUvarint([]byte{1<<3 | bytes}, uint64(len(service)))
	key = append(key, service...)
	value := appendResponse(nil, status)
	m = append(m, 1<<3|bytes)
	m = binary.AppendUvarint(m, uint64(len(key)+2+len(value)))
	m = append(m, key...)
	m = append(m, 2<<3|bytes, byte(len(value)))
	return append(m, value...)
}
