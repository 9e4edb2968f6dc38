package interop_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/internal/leak"
	"github.com/weir-go/weir/netconn"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience bounds waits that end at once unless something is broken.
const patience = 30 * time.Second

func start(t testing.TB) *conn.Runtime {
	t.Helper()
	rt, err := conn.Start(conn.Config{})
	ok(t, err)
	t.Cleanup(func() { rt.Close() })
	return rt
}

// face is one side's way to the network: Weir's or package net's.
type face struct {
	name   string
	listen func(rt *conn.Runtime) (net.Listener, error)
	dial   func(rt *conn.Runtime) func(ctx context.Context, network, address string) (net.Conn, error)
}

var weir = face{
	name: "weir",
	listen: func(rt *conn.Runtime) (net.Listener, error) {
		return netconn.Listen(rt, conn.TCP(netip.MustParseAddrPort("127.0.0.1:0")))
	},
	dial: func(rt *conn.Runtime) func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&netconn.Dialer{Runtime: rt}).DialContext
	},
}

var stock = face{
	name:   "stock",
	listen: func(*conn.Runtime) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	dial: func(*conn.Runtime) func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext
	},
}

// identity is a certificate for this machine and the pool that trusts it.
var identity = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"weir.test"},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
})

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, got, expected any) {
	t.Helper()
	if got != expected {
		t.Fatalf("got %v, want %v", got, expected)
	}
}

// until waits for something that nothing signals.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatal("never happened: " + what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// parallel runs f n times at once.
func parallel(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	ok(t, errors.Join(errs...))
}
