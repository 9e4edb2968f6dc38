package certs_test

import (
	"crypto/x509"
	"testing"

	"github.com/weir-go/weir/internal/certs"
	"github.com/weir-go/weir/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestIdentity(t *testing.T) {
	cert, pool := certs.Identity()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{certs.Name: true, "127.0.0.1": true, "::1": true, "example.org": false} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool})
		if (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
