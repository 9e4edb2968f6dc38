package proc

import (
	"bytes"
	"sync"
)

// errorTail keeps the end of what a process writes on its standard error. os/exec writes from a goroutine of its own.
type errorTail struct {
	mu   sync.Mutex
	text []byte
}

// tailSize is enough for a message, or for the part of a stack trace that says where.
const tailSize = 4 << 10

func (t *errorTail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(b), nil
}

func (t *errorTail) suffix() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := bytes.TrimSpace(t.text); len(s) > 0 {
		return ": " + string(s)
	}
	return ""
}
