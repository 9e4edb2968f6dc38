package grpc

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestOverIsCountedOnce: a call whose context ends while its stream comes back, or
// while it is refused, is none that a twin serves, and nobody is told.
func TestOverIsCountedOnce(t *testing.T) {
	for name, late := range map[string]func(x *twinned, live *clientStream){
		"back":    func(x *twinned, live *clientStream) { x.answered(live) },
		"refused": func(x *twinned, live *clientStream) { x.gone(live, status.Error(codes.Unavailable, "")) },
	} {
		t.Run(name, func(t *testing.T) {
			cc, live := &ClientConn{}, &clientStream{}
			x := &twinned{cc: cc, ctx: context.Background(), desc: &grpc.StreamDesc{}, live: live, told: make(chan struct{}),
				set: &Twins{Changed: func(c TwinChange) { t.Errorf("told of %+v", c) }}}
			if name == "back" {
				x.away = true
				cc.twins.now.Add(1)
			}
			x.conclude(context.Canceled)
			late(x, live)
			if s := cc.TwinStats(); s.Now != 0 || s.Returned != 0 || s.Followed != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}
