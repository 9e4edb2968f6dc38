package conn

import (
	"testing"
	"time"

	"github.com/weir-go/weir/internal/buf"
)

// The zero Config is one that works, and nonsense is none.
func TestConfigDefaults(t *testing.T) {
	for name, cfg := range map[string]Config{
		"zero": {},
		"nonsense": {
			Loops: -1, ReadSize: -1, ReadBudget: -1, Events: -1, MaxConns: -1, ByteBudget: -1, PostQueue: -1,
			PoolSize: -1, Options: Options{HighWater: -1, LowWater: -1, InLimit: -1},
		},
		"too much": {Loops: 1 << 20, ReadSize: 1 << 30, Options: Options{InLimit: 1 << 30, HighWater: 10, LowWater: 10}},
	} {
		cfg.setDefaults()
		for what, ok := range map[string]bool{
			"Loops":    cfg.Loops > 0 && cfg.Loops <= maxLoops,
			"ReadSize": cfg.ReadSize > 0 && cfg.ReadSize <= buf.MaxStorage,
			"counts":   cfg.ReadBudget > 0 && cfg.Events > 0 && cfg.MaxConns > 0 && cfg.PostQueue > 0 && cfg.PoolSize > 0,
			"budget":   cfg.ByteBudget > 0,
			"marks":    cfg.HighWater > cfg.LowWater && cfg.LowWater > 0,
			"InLimit":  cfg.InLimit > 0 && cfg.InLimit <= buf.MaxStorage,
			"times":    cfg.CloseTimeout == 5*time.Second && cfg.SlowCallback == 100*time.Millisecond && cfg.Idle == 0,
		} {
			if !ok {
				t.Errorf("%s: %s: %+v", name, what, cfg)
			}
		}
	}
	rt := running(t, Config{Loops: -3, ReadSize: -1})
	ln := listening(t, rt, echoes)
	mustAsk(t, dial(t, ln.Addr()), "hello")
}

// What a listener, a dial or an adoption leaves open is taken from the Config.
func TestOptionsInherit(t *testing.T) {
	base := Options{HighWater: 1000, LowWater: 10, InLimit: 20, Idle: time.Minute, MinRate: Rate{Bytes: 5, Grace: time.Second}}
	if got := (Options{}).over(base); got.HighWater != 1000 || got.LowWater != 10 || got.InLimit != 20 ||
		got.Idle != time.Minute || got.MinRate != base.MinRate {
		t.Errorf("%+v", got)
	}
	// A mark of one's own has a low mark of its own.
	if got := (Options{HighWater: 400}).over(base); got.HighWater != 400 || got.LowWater != 100 {
		t.Errorf("%+v", got)
	}
	if got := (Options{Idle: -1, MinRate: Rate{Bytes: 7}}).over(base); got.Idle != -1 || got.MinRate != (Rate{7, 5 * time.Second}) {
		t.Errorf("%+v", got)
	}
}
