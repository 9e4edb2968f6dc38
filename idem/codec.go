package idem

import (
	"encoding/binary"
	"errors"
	"time"
)

// A record in bytes, integers in big endian:
//
//	format 1 · state 1 · taken 1 · owner 16 · fence 8 · version 8 · attempts 4
//	· print 32 · expires 8 (Unix ns, 0 never) · step number 4
//	· step 4+n · result 4+n
//
// Until is left out: it is on a clock that means nothing after a restart.
const (
	recordFormat = 1
	fixedSize    = 3 + len(Owner{}) + 8 + 8 + 4 + len(Print{}) + 8 + 4
)

var errRecord = errors.New("idem: malformed record")

// AppendBinary appends r without Until, for stores that keep bytes.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	taken := byte(0)
	if r.Taken {
		taken = 1
	}
	b = append(b, recordFormat, byte(r.State), taken)
	b = append(b, r.Owner[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Fence)
	b = binary.BigEndian.AppendUint64(b, r.Version)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Attempts))
	b = append(b, r.Print[:]...)
	expires := int64(0)
	if !r.Expires.IsZero() {
		expires = r.Expires.UnixNano()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(expires))
	b = binary.BigEndian.AppendUint32(b, uint32(r.StepNo))
	for _, field := range [][]byte{r.Step, r.Result} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
		b = append(b, field...)
	}
	return b, nil
}

// UnmarshalBinary sets r to what AppendBinary has written. It copies what it
// keeps of b. After an error r is as it was.
func (r *Record) UnmarshalBinary(b []byte) error {
	if len(b) < fixedSize || b[0] != recordFormat || b[2] > 1 {
		return errRecord
	}
	read := Record{State: State(b[1]), Taken: b[2] == 1}
	if read.State.String() == "invalid" || read.State == Absent {
		return errRecord
	}
	b = b[3:]
	b = b[copy(read.Owner[:], b):]
	read.Fence, b = binary.BigEndian.Uint64(b), b[8:]
	read.Version, b = binary.BigEndian.Uint64(b), b[8:]
	read.Attempts, b = int(binary.BigEndian.Uint32(b)), b[4:]
	b = b[copy(read.Print[:], b):]
	if ns := int64(binary.BigEndian.Uint64(b)); ns != 0 {
		read.Expires = time.Unix(0, ns)
	}
	b = b[8:]
	read.StepNo, b = int(binary.BigEndian.Uint32(b)), b[4:]
	for _, field := range []*[]byte{&read.Step, &read.Result} {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return errRecord
		}
		n := int(binary.BigEndian.Uint32(b))
		if n > 0 {
			*field = append([]byte(nil), b[4:4+n]...)
		}
		b = b[4+n:]
	}
	if len(b) > 0 {
		return errRecord
	}
	*r = read
	return nil
}
