package main

import (
	"time"

	"github.com/weir-go/weir/bench/rivals/internal/probe"
)

// drained is what it costs to wait for a body that runs.
type drained struct {
	CPU  float64 // ns
	Took float64 // ns
}

// drain ends a scheduler while one body sleeps for the window.
func drain(j job) (any, error) {
	s, err := subjects[j.Subject]()
	if err != nil {
		return nil, err
	}
	running := make(chan time.Time, 1)
	err = s.every(time.Now().Add(200*time.Millisecond), time.Hour, func() {
		running <- time.Now()
		time.Sleep(j.Window)
	})
	if err == nil {
		err = s.begin()
	}
	if err != nil {
		return nil, err
	}
	began, used := <-running, probe.CPU()
	if err := s.end(); err != nil {
		return nil, err
	}
	return drained{float64(probe.CPU() - used), float64(time.Since(began))}, nil
}
