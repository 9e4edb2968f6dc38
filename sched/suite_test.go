package sched_test

import (
	"testing"
	"time"

	"github.com/weir-go/weir/sched"
	"github.com/weir-go/weir/sched/schedtest"
)

// TestTriggers holds each kind of trigger to the suite that users' own are held to.
func TestTriggers(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	start := time.Date(2026, 10, 24, 12, 0, 0, 0, berlin) // the day before clocks are set
	cron := func(spec string) sched.Trigger {
		c, err := sched.Cron(spec, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	second := sched.Every{Period: time.Second, Jitter: 700 * time.Millisecond, Seed: "a"}
	business := sched.Window{Days: sched.Weekdays(), From: 9 * time.Hour, To: 17 * time.Hour, Zone: berlin}
	for name, trigger := range map[string]sched.Trigger{
		"every":        sched.Every{Period: 7 * time.Minute},
		"every start":  sched.Every{Period: time.Hour, Start: start.Add(30 * time.Minute)},
		"every jitter": second,
		"at":           sched.At(start.Add(time.Hour), start.Add(-time.Hour), start.Add(time.Minute)),
		"after":        sched.After(start, time.Hour),
		"cron fixed":   cron("30 2,14 * * *"),
		"cron wild":    cron("*/5 * * * *"),
		"cron seconds": cron("*/10 0 * * * *"),
		"until":        sched.Until(second, start.Add(time.Minute)),
		"times":        sched.Times(second, 30, start),
		"within":       sched.Within(sched.Every{Period: 11 * time.Minute}, business),
		"union":        sched.Union(cron("@hourly"), sched.Every{Period: 25 * time.Minute}),
	} {
		t.Run(name, func(t *testing.T) { schedtest.TestTrigger(t, trigger, start) })
	}
}
