package poller

// The second kind is what kernels before 5.11 get.
var kinds = []kind{
	{"nanoseconds", func(*Poller) {}},
	{"milliseconds", func(p *Poller) { p.kernel.coarse = true }},
}
