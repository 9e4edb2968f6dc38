package sched_test

import (
	"fmt"
	"time"

	"github.com/weir-go/weir/sched"
)

// list prints the first n instants after from.
func list(t sched.Trigger, from time.Time, n int) {
	for range n {
		from = t.Next(from)
		fmt.Println(from.Format("Mon Jan 2 15:04:05 -07:00"))
	}
}

// On the night on which clocks go back there are two o'clocks, and one report.
func ExampleCron() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	nightly, err := sched.Cron("30 2 * * *", berlin)
	if err != nil {
		panic(err)
	}
	list(nightly, time.Date(2026, 10, 24, 12, 0, 0, 0, berlin), 2)
	_, err = sched.Cron("0 0 30 2 *", berlin)
	fmt.Println(err)
	// Output:
	// Sun Oct 25 02:30:00 +02:00
	// Mon Oct 26 02:30:00 +01:00
	// sched: trigger: "0 0 30 2 *" never comes
}

// A grid does not drift, and is the same wherever it is asked for.
func ExampleEvery() {
	e := sched.Every{Period: 20 * time.Minute}
	list(e, time.Date(2026, 11, 22, 3, 7, 12, 345, time.UTC), 3)
	n, _ := e.Count(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	fmt.Println(n, "in the year")
	// Output:
	// Sun Nov 22 03:20:00 +00:00
	// Sun Nov 22 03:40:00 +00:00
	// Sun Nov 22 04:00:00 +00:00
	// 26280 in the year
}

// Each hour, but in business hours only, and no more than four times.
func ExampleWithin() {
	business := sched.Window{Days: sched.Weekdays(), From: 9 * time.Hour, To: 17 * time.Hour}
	friday := time.Date(2026, 11, 20, 14, 30, 0, 0, time.UTC)
	hourly := sched.Within(sched.Every{Period: time.Hour}, business)
	list(sched.Times(hourly, 4, friday), friday, 4)
	// Output:
	// Fri Nov 20 15:00:00 +00:00
	// Fri Nov 20 16:00:00 +00:00
	// Mon Nov 23 09:00:00 +00:00
	// Mon Nov 23 10:00:00 +00:00
}
