package redis

import (
	"context"
	"testing"
	"time"
)

// TestHasty: a caller with little time does not take the connection of a slow server
// away from the others.
func TestHasty(t *testing.T) {
	p, s := startPuppet(t, Config{})
	s.silence = long
	patient := askFor(t.Context(), s, "patient")
	p.accept()
	p.hear("patient")
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		p.fails(askFor(ctx, s, "hasty"), context.DeadlineExceeded)
		cancel()
	}
	p.say("+patient\r\n")
	p.gets(patient, "patient")

	// Nor of one that has been asked something all the time, and answers.
	p.hear("hasty", "hasty", "hasty")
	p.say("+\r\n+\r\n+\r\n")
	first := askFor(t.Context(), s, "first")
	p.hear("first")
	second := askFor(t.Context(), s, "second")
	p.hear("second")
	at := s.lines[0].now
	at.mu.Lock()
	at.since = at.since.Add(-2 * long)
	at.mu.Unlock()
	p.say("+first\r\n")
	p.gets(first, "first")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	p.fails(askFor(ctx, s, "hasty"), context.DeadlineExceeded)
	p.say("+second\r\n")
	p.gets(second, "second")
}

// TestSilence: a connection on which nothing comes for a while is given up with the
// first caller whose time is up then, for all of them, and the next one gets another.
func TestSilence(t *testing.T) {
	p, s := startPuppet(t, Config{})
	s.silence = 10 * time.Millisecond
	patient := askFor(t.Context(), s, "patient")
	p.accept()
	p.hear("patient")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	p.fails(askFor(ctx, s, "hasty"), context.DeadlineExceeded)
	p.fails(patient, errSilent)
	next := askFor(t.Context(), s, "next")
	p.accept()
	p.hear("next")
	p.say("+next\r\n")
	p.gets(next, "next")
}
