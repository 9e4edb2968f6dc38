package stream

import (
	"testing"

	"github.com/weir-go/weir/internal/h2"
)

// TestEndIsBehindAll that is queued, also where a window ends with a message.
func TestEndIsBehindAll(t *testing.T) {
	one := uint32(len(message("abc")))
	for _, c := range []struct {
		name   string
		window uint32
		want   [2][]string
	}{
		{"one", one, [2][]string{{`data 1 "\x03abc"`}, {`data 1 "\x03def" end`}}},
		{"one and a part", one + 7, [2][]string{{`data 1 "\x03abc\x00\x00\x00\x00\x03de"`}, {`data 1 "f" end`}}},
		{"both", 2 * one, [2][]string{{`data 1 "\x03abc\x00\x00\x00\x00\x03def" end`}, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newStage(t, ClientConfig{})
			st, _ := g.start("/a/B", CallOptions{})
			f := g.connect(h2.Setting{ID: h2.SettingInitialWindowSize, Value: 0})
			f.hears("open 1 /a/B")
			st.Send([]byte("abc"))
			st.Send([]byte("def"))
			st.CloseSend()
			g.settle()
			f.hears()
			f.feed(h2.AppendWindowUpdate(nil, 1, c.window))
			f.hears(c.want[0]...)
			f.feed(h2.AppendWindowUpdate(nil, 1, 100))
			f.hears(c.want[1]...)
		})
	}
}
