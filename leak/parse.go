package leak

import (
	"strconv"
	"strings"
	"time"
)

// What runtime.Stack writes, of each goroutine, with an empty line between two:
//
//	goroutine 18 [chan receive, 2 minutes]:
//	shop.(*cart).watch(0xc0000b4000, {0x1, 0x2})
//		/src/shop/cart.go:77 +0x1d
//	created by shop.open in goroutine 1
//		/src/shop/cart.go:41 +0x5a
//
// A line that is not as expected is left out, and so is a goroutine that was cut
// off before its first frame.

func parse(text string) *Profile {
	p := &Profile{groups: map[origin]*group{}}
	for block := range strings.SplitSeq(text, "\n\n") {
		p.add(block)
	}
	return p
}

// add takes one goroutine in.
func (p *Profile) add(block string) {
	head, rest, _ := strings.Cut(strings.TrimPrefix(block, "\n"), "\n")
	state, ok := strings.CutPrefix(head, "goroutine ")
	if !ok {
		return
	}
	var s stack
	if _, state, ok = strings.Cut(state, "["); ok {
		s.state, s.wait = waits(strings.TrimSuffix(state, "]:"))
	}
	var creator Frame
	s.frames, creator = frames(rest)
	if len(s.frames) == 0 {
		return
	}
	entry := s.frames[len(s.frames)-1].Func
	p.count(origin{creator, entry}, s)
}

func (p *Profile) count(o origin, s stack) {
	g := p.groups[o]
	if g == nil {
		g = &group{stacks: map[string]*stack{}}
		p.groups[o] = g
	}
	var key strings.Builder
	for _, f := range s.frames {
		key.WriteString(f.String())
	}
	old := g.stacks[key.String()]
	if old == nil {
		old = &s
		g.stacks[key.String()] = old
	}
	old.n++
	old.wait = max(old.wait, s.wait)
	g.n++
	p.Goroutines++
}

// waits reads "chan receive, 2 minutes, locked to thread".
func waits(text string) (state string, wait time.Duration) {
	for part := range strings.SplitSeq(text, ", ") {
		minutes, ok := strings.CutSuffix(part, " minutes")
		if n, err := strconv.Atoi(minutes); ok && err == nil {
			wait = time.Duration(n) * time.Minute
			continue
		}
		if state != "" {
			state += ", "
		}
		state += part
	}
	return state, wait
}

// frames reads the lines below the first.
func frames(text string) (all []Frame, creator Frame) {
	for text != "" {
		var call, place string
		call, text, _ = strings.Cut(text, "\n")
		if !strings.HasPrefix(text, "\t") {
			continue // "...additional frames elided..."
		}
		place, text, _ = strings.Cut(text, "\n")
		name, created := strings.CutPrefix(call, "created by ")
		if created {
			name, _, _ = strings.Cut(name, " in goroutine ")
		} else if i := strings.LastIndexByte(name, '('); i > 0 {
			name = name[:i] // the arguments
		}
		f := Frame{Func: name}
		f.File, f.Line = position(place)
		if created {
			creator = f
		} else {
			all = append(all, f)
		}
	}
	return all, creator
}

// position reads "\t/src/shop/cart.go:77 +0x1d".
func position(text string) (file string, line int) {
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "\t"), " +0x")
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return text, 0
	}
	line, err := strconv.Atoi(text[i+1:])
	if err != nil {
		return text, 0
	}
	return text[:i], line
}
