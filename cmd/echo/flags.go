package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weir-go/weir/internal/echo"
)

// options are the command line.
type options struct {
	loops int

	// Of the server.
	listen string
	face   string
	grpc   string
	admin  string
	trace  bool
	idle   time.Duration
	hold   bool
	drain  time.Duration
	notice time.Duration

	// Of the driver.
	drive    string
	conns    int
	size     int
	pipeline int
	rate     int
	window   time.Duration
}

const usage = `An echo server, and the driver that puts load on it.

  echo [flags]                     serve bytes
  echo -grpc HOST:PORT [flags]     serve gRPC
  echo -drive HOST:PORT [flags]    drive a server of bytes

Serve:
  -listen ADDR   tcp://HOST:PORT, HOST:PORT or unix:///PATH (tcp://127.0.0.1:9000).
                 Sockets of socket activation (LISTEN_FDS) come first.
  -face FACE     callback, blocking, or std: package net, for comparison (callback)
  -grpc ADDR     serve weir.echo.v1.Echo and a Clock there instead of bytes,
                 with reflection and health: grpcurl works against it
  -loops N       loops of the runtime; 0 is one for each core, at most 4 (0)
  -admin ADDR    serve /healthz, /readyz, /metrics, /stats and /debug/pprof/ there
  -v             show what happens, a line for each event
  -hold          loops hold their threads however little they have to do; lab 6
  -idle D        close connections that are silent for so long; 0 is never (0s)
  -notice D      how long /readyz says that the server ends before it begins to,
                 so that balancers send nobody any more (0s)
  -drain D       how long SIGINT and SIGTERM wait for connections to end (10s)

SIGUSR2 has the program started again, a new version of it perhaps: the new process
gets the listening sockets, and when it serves the old one drains. Nobody is refused.

Drive:
  -drive ADDR    where the server is, as for -listen
  -conns N       connections (64)
  -size B        bytes of a message (64)
  -pipeline K    messages under way on each connection (1)
  -rate N        messages a second, whether or not the server keeps up;
                 0 sends the next when one has come back (0)
  -for D         how long (5s)
  -loops N       as above
`

// onlyDriving and onlyServing are the flags that mean nothing to the other.
var (
	onlyDriving = []string{"conns", "size", "pipeline", "rate", "for"}
	onlyServing = []string{"listen", "face", "grpc", "admin", "v", "hold", "idle", "notice", "drain"}
	onlyBytes   = []string{"listen", "face"}
)

// parse reads the command line. What is wrong with it is written to errs.
func parse(args []string, errs io.Writer) (o options, err error) {
	f := flag.NewFlagSet("echo", flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() { fmt.Fprint(errs, usage) }
	f.IntVar(&o.loops, "loops", 0, "")
	f.StringVar(&o.listen, "listen", "tcp://127.0.0.1:9000", "")
	f.StringVar(&o.face, "face", string(echo.Callback), "")
	f.StringVar(&o.grpc, "grpc", "", "")
	f.StringVar(&o.admin, "admin", "", "")
	f.BoolVar(&o.trace, "v", false, "")
	f.DurationVar(&o.idle, "idle", 0, "")
	f.BoolVar(&o.hold, "hold", false, "")
	f.DurationVar(&o.drain, "drain", 10*time.Second, "")
	f.DurationVar(&o.notice, "notice", 0, "")
	f.StringVar(&o.drive, "drive", "", "")
	f.IntVar(&o.conns, "conns", 64, "")
	f.IntVar(&o.size, "size", 64, "")
	f.IntVar(&o.pipeline, "pipeline", 1, "")
	f.IntVar(&o.rate, "rate", 0, "")
	f.DurationVar(&o.window, "for", 5*time.Second, "")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if err := o.check(f); err != nil {
		fmt.Fprintf(errs, "echo: %v\nRun echo -h for all flags.\n", err)
		return o, err
	}
	if o.grpc != "" {
		o.face = "grpc"
	}
	return o, nil
}

// check finds what the flag package can't.
func (o options) check(f *flag.FlagSet) error {
	if f.NArg() > 0 {
		return fmt.Errorf("what is %q for? Everything is said by flags", f.Arg(0))
	}
	strangers, mode := onlyDriving, "without -drive"
	if o.drive != "" {
		strangers, mode = onlyServing, "with -drive"
	}
	err := unwanted(f, strangers, mode)
	if err == nil && o.grpc != "" {
		err = unwanted(f, onlyBytes, "with -grpc")
	}
	switch face := echo.Face(o.face); {
	case err != nil:
		return err
	case face != echo.Callback && face != echo.Blocking && face != echo.Std:
		return fmt.Errorf("-face %s: there are callback, blocking and std", o.face)
	case face == echo.Std && o.trace:
		return errors.New("-v shows the events of Weir's loops, which -face std doesn't have")
	case o.loops < 0 || o.loops > 256:
		return fmt.Errorf("-loops %d: from 0 to 256", o.loops)
	case o.idle < 0:
		return errors.New("-idle can't be negative")
	case o.notice < 0:
		return errors.New("-notice can't be negative")
	case o.drive == "":
		return nil
	}
	for name, n := range map[string]int{"conns": o.conns, "size": o.size, "pipeline": o.pipeline} {
		if n <= 0 {
			return fmt.Errorf("-%s %d: must be 1 or more", name, n)
		}
	}
	if o.rate < 0 || o.window <= 0 {
		return errors.New("-rate and -for can't be negative, and -for must be some time")
	}
	return nil
}

// unwanted finds one of names among the flags that were given.
func unwanted(f *flag.FlagSet, names []string, mode string) (err error) {
	f.Visit(func(given *flag.Flag) {
		if slices.Contains(names, given.Name) {
			err = fmt.Errorf("-%s means nothing %s", given.Name, mode)
		}
	})
	return err
}
