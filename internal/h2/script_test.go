package h2

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-go/weir/internal/script"
)

// TestScripts plays the conversations in testdata, a file for each section of
// RFC 9113 and one for our own limits. Words in capitals are what the peer
// sends, those in small letters what the owner of the Core does:
//
//	server | client | raw [client] [Field=n ...]   which end the Core is (first; server). raw: nobody has said anything yet
//	SETTINGS NAME=n ... | ack       WINDOW_UPDATE id n      RST_STREAM id code
//	HEADERS id [end] [more] [pad=n] [dep=id] field=value    PRIORITY id dep
//	CONTINUATION id [more] field=value                      PING text | ack text
//	DATA id n [end] [pad=n]         GOAWAY last code        FRAME type flags id hex
//	respond id [end] n=v   send id n [end]   open [end]   reset id code   release id
//	consume id n   conn n   windows stream conn   goaway last   ping text   wait duration
//	together ... now   what the peer sends in between comes at once
//	refuse   react event command ... (@: the event's stream)   repeat n command ...   show
//
// The field grpc stands for those of a gRPC request, ok for those of a response.
// Each conversation is played twice, the second time byte by byte: it must not
// make a difference, unless the first command says whole: there the owner acts
// in the middle of a frame.
func TestScripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T, commands []script.Command) []string {
		whole := play(t, commands, 1<<30)
		if slices.Contains(commands[0].Args, "whole") {
			return whole
		}
		if bytes := play(t, commands, 1); !slices.Equal(whole, bytes) {
			t.Errorf("byte by byte it went differently:\n%s", strings.Join(bytes, "\n"))
		}
		return whole
	})
}

// player is one play of a conversation.
type player struct {
	t     *testing.T
	w     *witness
	piece int  // bytes fed at once
	hold  bool // gather what the peer sends
	held  []byte
	enc   Encoder // of the peer
}

func play(t *testing.T, commands []script.Command, piece int) []string {
	p := &player{t: t, piece: piece}
	raw := false
	if n := commands[0].Name; n == "server" || n == "client" || n == "raw" {
		p.start(n == "client" || slices.Contains(commands[0].Args, "client"), commands[0].Args)
		raw = n == "raw"
		commands = commands[1:]
	} else {
		p.start(false, nil)
	}
	if raw {
		p.w.sent()
	} else {
		p.greet()
	}
	for _, c := range commands {
		p.command(c.Name, c.Args)
	}
	return p.w.trace
}

func (p *player) start(client bool, args []string) {
	cfg := Config{Client: client}
	for _, a := range args {
		name, v, ok := strings.Cut(a, "=")
		if !ok {
			continue // whole, raw client
		}
		n := p.num(v)
		switch name {
		case "MaxFrame":
			cfg.MaxFrame = uint32(n)
		case "MaxHeaderList":
			cfg.MaxHeaderList = uint32(n)
		case "MaxHeaderBlock":
			cfg.MaxHeaderBlock = n
		case "MaxContinuations":
			cfg.MaxContinuations = n
		case "MaxStreams":
			cfg.MaxStreams = uint32(n)
		case "HeaderTable":
			cfg.HeaderTable = uint32(n)
		case "StreamWindow":
			cfg.StreamWindow = int32(n)
		case "ConnWindow":
			cfg.ConnWindow = int32(n)
		case "Resets":
			cfg.Resets = Rate{n, 1}
		case "Settings":
			cfg.Settings = Rate{n, 1}
		case "Pings":
			cfg.Pings = Rate{n, 1}
		case "Chores":
			cfg.Chores = Rate{n, 1}
		default:
			p.t.Fatalf("no such limit: %s", name)
		}
	}
	p.w = newWitness(cfg)
}

// greet gets the beginning over with, unseen.
func (p *player) greet() {
	if !p.w.core.limits.Client {
		p.in([]byte(Preface))
	}
	p.in(AppendSettings(nil))
	p.in(AppendSettingsAck(nil))
	p.w.sent()
	p.w.trace = nil
}

func (p *player) in(b []byte) {
	if p.hold {
		p.held = append(p.held, b...)
		return
	}
	p.w.feed(b, p.piece)
}

func (p *player) num(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatalf("not a number: %q", s)
	}
	return n
}

func (p *player) code(s string) Code {
	for i, n := range codeNames {
		if n == s {
			return Code(i)
		}
	}
	return Code(p.num(s))
}

func (p *player) stream(s string) *Stream[*flow] {
	st := p.w.all[uint32(p.num(s))]
	if st == nil {
		p.t.Fatalf("no stream %s", s)
	}
	return &st.Stream
}

// options takes end, more, pad and dep off args.
type options struct {
	end, more bool
	pad, dep  int // -1: none
	rest      []string
}

func (p *player) options(args []string) options {
	o := options{pad: -1, dep: -1}
	for _, a := range args {
		switch {
		case a == "end":
			o.end = true
		case a == "more":
			o.more = true
		case strings.HasPrefix(a, "pad="):
			o.pad = p.num(a[4:])
		case strings.HasPrefix(a, "dep="):
			o.dep = p.num(a[4:])
		default:
			o.rest = append(o.rest, a)
		}
	}
	return o
}

var shorthand = map[string][]string{
	"grpc": {":method=POST", ":scheme=http", ":path=/s/m", ":authority=here", "content-type=application/grpc", "te=trailers"},
	"ok":   {":status=200", "content-type=application/grpc"},
}

// fields encodes a header block as the peer would.
func (p *player) fields(words []string) (block []byte) {
	for _, word := range words {
		list, ok := shorthand[word]
		if !ok {
			list = []string{word}
		}
		for _, f := range list {
			at := strings.Index(f[1:], "=") + 1
			if at == 0 {
				p.t.Fatalf("not a field: %q", f)
			}
			name, value := f[:at], f[at+1:]
			if n, ok := strings.CutPrefix(value, "~"); ok { // so many bytes
				value = strings.Repeat("x", p.num(n))
			}
			block = p.enc.Append(block, name, value, false)
		}
	}
	return block
}

func (p *player) command(name string, args []string) {
	if name == strings.ToUpper(name) {
		p.in(p.frame(name, args))
		return
	}
	p.do(name, args)
	p.w.sent()
}

// frame builds what the peer sends.
func (p *player) frame(name string, args []string) []byte {
	id := func(i int) uint32 { return uint32(p.num(args[i])) }
	switch name {
	case "PREFACE":
		return []byte(Preface)
	case "BYTES":
		return p.hex(args[0])
	case "FRAME":
		return p.put(Type(id(0)), Flags(id(1)), id(2), p.hex(args[3]))
	case "SETTINGS":
		return p.settings(args)
	case "HEADERS", "CONTINUATION", "DATA":
		return p.wrapped(name, id(0), p.options(args[1:]))
	case "RST_STREAM":
		return AppendRSTStream(nil, id(0), p.code(args[1]))
	case "WINDOW_UPDATE":
		return AppendWindowUpdate(nil, id(0), id(1))
	case "PRIORITY":
		return p.put(FramePriority, 0, id(0), append(binary.BigEndian.AppendUint32(nil, id(1)), 16))
	case "PING":
		if args[0] == "ack" {
			return AppendPing(nil, true, [8]byte([]byte(args[1])))
		}
		return AppendPing(nil, false, [8]byte([]byte(args[0])))
	case "GOAWAY":
		return AppendGoAway(nil, id(0), p.code(args[1]), "bye")
	}
	p.t.Fatalf("no such frame: %s", name)
	return nil
}

func (p *player) hex(s string) []byte {
	b, err := hex.DecodeString(strings.TrimPrefix(s, "-"))
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *player) put(typ Type, flags Flags, id uint32, payload []byte) []byte {
	return append(AppendHeader(nil, Header{Length: uint32(len(payload)), Type: typ, Flags: flags, Stream: id}), payload...)
}

func (p *player) settings(args []string) []byte {
	if len(args) == 1 && args[0] == "ack" {
		return AppendSettingsAck(nil)
	}
	var list []Setting
	for _, a := range args {
		name, v, _ := strings.Cut(a, "=")
		i := slices.Index(settingNames[:], name)
		if i < 0 {
			i = p.num(name)
		}
		list = append(list, Setting{SettingID(i), uint32(p.num(v))})
	}
	return AppendSettings(nil, list...)
}

// wrapped is DATA, HEADERS or CONTINUATION with padding and priority.
func (p *player) wrapped(name string, id uint32, o options) []byte {
	var payload []byte
	flags := endFlag(o.end)
	if o.pad >= 0 {
		payload = append(payload, byte(o.pad))
		flags |= FlagPadded
	}
	typ := FrameData
	if name == "DATA" {
		payload = append(payload, make([]byte, p.num(o.rest[0]))...)
	} else {
		if typ = FrameContinuation; name == "HEADERS" {
			typ = FrameHeaders
		}
		if o.dep >= 0 {
			payload = append(binary.BigEndian.AppendUint32(payload, uint32(o.dep)), 16)
			flags |= FlagPriority
		}
		if !o.more {
			flags |= FlagEndHeaders
		}
		payload = append(payload, p.fields(o.rest)...)
	}
	return p.put(typ, flags, id, append(payload, make([]byte, max(o.pad, 0))...))
}
