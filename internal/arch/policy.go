// Package arch holds the import policy of this module, as a table, and the
// tests that hold the module to it by parsing its files. They do not ask the go
// command: it answers for one platform at a time, and a cached test result
// would hide a change from it. Files that a test opens are part of its key in
// the cache.
//
// The rules:
//
//   - A package imports of this module, and of other modules, only what its row
//     says; a package without a row fails. Tests are exempt, but none outside of
//     bench imports bench.
//   - A package whose row does not say so never reaches package net, not even
//     through others, on any platform.
//   - Nothing sleeps to wait for something, outside cmd and bench.
//
// A change of the table is a commit of its own, with the reason.
package arch

// Other modules.
const (
	bbolt      = "go.etcd.io/bbolt"
	gocron     = "github.com/netresearch/go-cron"
	backoff    = "github.com/cenkalti/backoff/v5"
	ants       = "github.com/panjf2000/ants/v2"
	gobreaker  = "github.com/sony/gobreaker/v2"
	goleak     = "go.uber.org/goleak"
	hpack      = "golang.org/x/net/http2/hpack"
	porcupine  = "github.com/anishathalye/porcupine"
	prometheus = "github.com/prometheus/client_golang"
	protobuf   = "google.golang.org/protobuf"
	xrate      = "golang.org/x/time/rate"
	xsys       = "golang.org/x/sys"
)

// A row is what a package may import, besides the standard library.
type row struct {
	module []string // packages of this module
	others []string // packages of other modules, each with those below it
	net    bool     // it meets the ecosystem: it may reach package net
}

// may lists the packages from the bottom up. A row of a file holds for that
// file, in addition to its package's.
var may = map[string]row{
	"poller": {others: list(xsys)},
	"timer":  {module: list("poller", "internal/thread"), others: list(xsys)},

	"timer/spare": {others: list(ants)},

	"internal/thread":     {others: list(xsys)},
	"internal/invariants": {},
	"internal/buf":        {},
	"internal/sock":       {others: list(xsys)},

	"internal/groupcommit": {others: list(bbolt)},

	"bounds":  {module: list("timer", "internal/sock")},
	"breaker": {module: list("bounds"), others: list(gobreaker)},

	"conn": {module: list("poller", "timer", "bounds", "internal/sock", "internal/buf", "internal/invariants"),
		others: list(xsys)},
	"conn/pool.go": {others: list(ants)},

	"netconn":    {module: list("bounds", "conn", "proxyproto", "timer", "internal/sock", "internal/buf"), others: list(xsys), net: true},
	"proxyproto": {module: list("conn", "timer")},
	"metrics": {module: list("bounds", "breaker", "conn", "health", "health/healthgrpc", "idem", "poller", "proxyproto",
		"restart", "saga", "sched", "stream", "timer"), others: list(prometheus), net: true},

	"internal/echo":  {module: list("conn", "netconn", "restart"), net: true},
	"internal/drive": {module: list("conn", "poller")},
	"cmd/echo": {module: list("conn", "poller", "netconn", "stream", "metrics", "internal/echo", "internal/drive",
		"internal/echo/rpc", "health", "health/healthhttp", "lifecycle", "restart"), net: true},

	// The echo server of cmd/echo -grpc.
	"internal/echo/echopb": {others: list(protobuf)},
	"internal/echo/rpc": {module: list("conn", "timer", "stream", "internal/echo", "internal/echo/echopb",
		"internal/reflection", "health", "health/healthgrpc"), others: list(protobuf), net: true},
	"internal/reflection": {module: list("stream"), others: list(protobuf)},

	"bench": {module: list("bounds", "conn", "netconn", "stream", "internal/echo", "internal/drive", "internal/h2",
		"bench/internal/line", "bench/internal/proc", "bench/internal/report",
		"bench/internal/life", "bench/internal/lateness", "bench/internal/h2c", "bench/internal/news"), net: true},
	"bench/internal/h2c": {module: list("conn", "internal/drive", "internal/h2", "bench/internal/news"),
		others: list(hpack), net: true},
	"bench/internal/news":     {net: true},
	"bench/internal/life":     {module: list("timer", "bench/internal/proc"), net: true},
	"bench/internal/lateness": {module: list("timer", "timer/spare", "bench/internal/proc"), net: true},
	"bench/internal/line":     {module: list("bench/internal/proc"), net: true},
	"bench/internal/proc":     {others: list(xsys), net: true},
	"bench/internal/report":   {net: true},

	"leak":      {},
	"lifecycle": {},
	"health":    {module: list("bounds")},
	"restart":   {module: list("conn", "internal/sock"), others: list(xsys)},

	"health/healthgrpc": {module: list("health", "stream")},
	"health/healthhttp": {module: list("health"), net: true},

	// Programs of the guide, which readers run one by one.
	"docs/guide/time":   {module: list("timer", "timer/spare")},
	"docs/guide/sched":  {module: list("lifecycle", "sched", "sched/boltstate", "sched/schedtest")},
	"docs/guide/stream": {module: list("conn", "stream")},
	"docs/guide/bounds": {module: list("bounds", "conn", "netconn", "proxyproto"), net: true},

	// Helpers of tests: no row but theirs names them, so that only tests can
	// import them.
	"internal/arch":      {net: true},
	"internal/await":     {net: true},
	"internal/certs":     {net: true},
	"internal/faults":    {net: true},
	"internal/guardtest": {module: list("idem", "idem/idemguard", "sched", "sched/schedtest")},
	"internal/leak":      {others: list(goleak), net: true},
	"internal/ports":     {others: list(xsys), net: true},
	"internal/redistest": {module: list("internal/await", "internal/ports"), net: true},
	"internal/script":    {net: true},

	"internal/restarttest": {module: list("internal/await")},

	// To come.
	"internal/h2":    {module: list("internal/buf"), others: list(hpack)},
	"stream":         {module: list("bounds", "conn", "timer", "internal/buf", "internal/h2")},
	"idem":           {},
	"idem/boltstore": {module: list("idem", "internal/groupcommit"), others: list(bbolt)},
	"idem/idemguard": {module: list("idem", "sched")},
	"idem/idemhttp":  {module: list("idem"), net: true},
	"idem/idemtest":  {module: list("idem"), others: list(porcupine)},
	"saga":           {module: list("idem")},
	"saga/boltlog":   {module: list("saga", "internal/groupcommit"), others: list(bbolt)},
	"saga/sagatest":  {module: list("saga")},
	"sched":          {module: list("timer")},
	"sched/pool.go":  {others: list(ants)},
	"sched/queue.go": {others: list(xrate)},
	"sched/gate.go":  {others: list(xrate)},
	"sched/retry.go": {others: list(backoff)},
	"sched/cron.go":  {others: list(gocron)},

	"sched/boltstate": {module: list("sched", "internal/groupcommit"), others: list(bbolt)},
	"sched/schedtest": {module: list("sched", "timer")},
}

// asleep are the folders where something may sleep: programs for people to
// watch and measure with.
var asleep = list("cmd", "bench")

func list(names ...string) []string { return names }
