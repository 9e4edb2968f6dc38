//go:build ignore

// Dst shows when a cron expression comes around the days on which a zone sets its
// clocks.
//
//	go run docs/guide/sched/dst.go
//	go run docs/guide/sched/dst.go -spec '0 * * * *' -zone Australia/Lord_Howe
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/weir-go/weir/sched"
)

func main() {
	spec := flag.String("spec", "30 2 * * *", "cron `expression`")
	name := flag.String("zone", "Europe/Berlin", "where")
	year := flag.Int("year", 2026, "in which year")
	flag.Parse()
	zone, err := time.LoadLocation(*name)
	var trigger sched.Trigger
	if err == nil {
		trigger, err = sched.Cron(*spec, zone)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for t := time.Date(*year, 1, 1, 0, 0, 0, 0, zone); t.Year() == *year; {
		_, set := t.ZoneBounds()
		if set.IsZero() {
			fmt.Println("clocks are not set here")
			return
		}
		before, after := set.Add(-time.Second).In(zone), set.In(zone)
		if before.Format("-0700") != after.Format("-0700") && after.Year() == *year {
			fmt.Printf("%s: from %s to %s\n", after.Format(time.DateOnly), before.Format("15:04:05"), after.Format("15:04:05"))
			end := set.Add(12 * time.Hour)
			for at := trigger.Next(set.Add(-36 * time.Hour)); !at.IsZero() && at.Before(end); at = trigger.Next(at) {
				fmt.Println("   ", at.In(zone).Format("Mon 02 15:04:05 -07:00"))
			}
		}
		t = set
	}
}
