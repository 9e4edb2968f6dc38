package poller

// The second kind is what kernels before 5.11 get, the third how a loop waits
// that mostly sleeps.
var kinds = []kind{
	{"nanoseconds", func(*Poller) {}},
	{"milliseconds", func(p *Poller) { p.kernel.coarse = true }},
	{"parked", func(p *Poller) {
		if err := p.Park(true); err != nil {
			panic(err)
		}
	}},
}
