package life

import "time"

// A Job is to measure one structure.
type Job struct {
	Subject string
	N       int // timers that live and die
	Order   Order
	Enough  time.Duration // of processor time
	Once    bool          // only one life, and it is counted
}

// Run carries the job out on the structure that made makes.
func (j Job) Run(made func(*Plan) Structure) (Figures, error) {
	return Measure(NewPlan(j.N, j.Order), made, j.Enough, j.Once)
}
