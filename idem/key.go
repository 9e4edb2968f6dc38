package idem

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Limits of a Key's parts, in bytes.
const (
	MaxWord = 64
	MaxID   = 1024
)

// Key names what is to happen once: the same ID under another Space or
// Operation is another key.
type Key struct {
	Space     string // a tenant or an application; may be empty
	Operation string // what is done: "charge-card"
	ID        string // which one, commonly chosen by the client that asks
}

// String returns the key for people to read. ID is as the client sent it.
func (k Key) String() string {
	return fmt.Sprintf("%s/%s/%q", k.Space, k.Operation, k.ID)
}

// Name returns the name of the key's record in a Store: Space and Operation as
// they are, and a hash of the ID, so that a name is short and harmless whatever
// clients send. The error is ErrKey when a part is too long or empty, or when
// Space or Operation has anything but ASCII letters, digits, '.', '-' and '_'.
func (k Key) Name() (string, error) {
	if k.Operation == "" || k.ID == "" {
		return "", fmt.Errorf("%w: operation and ID must be set", ErrKey)
	}
	if len(k.ID) > MaxID {
		return "", fmt.Errorf("%w: ID of %d bytes", ErrKey, len(k.ID))
	}
	for _, word := range []string{k.Space, k.Operation} {
		if !plain(word) {
			return "", fmt.Errorf("%w: %.80q is no plain word", ErrKey, word)
		}
	}
	sum := sha256.Sum256([]byte(k.ID))
	return "idem:" + k.Space + ":" + k.Operation + ":" + hex.EncodeToString(sum[:]), nil
}

// plain reports whether word is one that separates the parts of a name without
// doubt, and means nothing to any store.
func plain(word string) bool {
	if len(word) > MaxWord {
		return false
	}
	for _, c := range []byte(word) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// Print is the fingerprint of a request: two requests under one key must have
// the same, or the second is refused with ErrMismatch.
type Print [sha256.Size]byte

// Fingerprint returns the Print of a request's parts. Where one part ends and
// the next begins is part of it.
func Fingerprint(parts ...[]byte) Print {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write(p)
	}
	return Print(h.Sum(nil))
}

// Owner names one attempt to do a thing. Each call of Do takes a new random one
// for each claim, so that it tells apart what a name of a process would not: two
// goroutines, or one process before and after a restart.
type Owner [16]byte
