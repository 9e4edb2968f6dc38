package judges

import (
	"crypto/tls"
	"encoding/xml"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/contrib/grpc"
	"github.com/weir-go/weir/internal/certs"
)

// report is h2spec's, as for JUnit.
type report struct {
	Groups []struct {
		Package string `xml:"package,attr"`
		Cases   []struct {
			Name    string  `xml:"classname,attr"`
			Failure *string `xml:"failure"`
			Error   *string `xml:"error"`
			Skipped *string `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// TestH2spec: all sections, strict ones too, of cmd/echo and of contrib/grpc
// behind TLS.
func TestH2spec(t *testing.T) {
	judge := tool(t, ".", "github.com/summerwind/h2spec/cmd/h2spec")
	t.Run("plain", func(t *testing.T) { h2spec(t, judge, echo(t)) })
	t.Run("TLS", func(t *testing.T) {
		cert, _ := certs.Identity()
		h2spec(t, judge, testService(t, grpc.Config{}, func(s *grpc.Server) conn.Serve {
			return s.ServeTLS(&tls.Config{Certificates: []tls.Certificate{cert}})
		}), "-t", "-k")
	})
}

func h2spec(t *testing.T, judge, addr string, flags ...string) {
	host, port := hostPort(t, addr)
	at := append([]string{"-S", "-o", "30", "-h", host, "-p", port}, flags...)
	file := filepath.Join(t.TempDir(), "report.xml")
	out, err := run(t, judge, append(at, "-j", file)...)
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatalf("%v, %v\n%s", err, readErr, out)
	}
	var r report
	if err := xml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	total, passed := 0, 0
	for _, g := range r.Groups {
		for _, c := range g.Cases {
			total++
			switch {
			case c.Skipped != nil:
				t.Errorf("%s: %s: skipped", g.Package, c.Name)
			case c.Failure == nil && c.Error == nil:
				passed++
			default:
				t.Errorf("%s: %s", g.Package, c.Name)
			}
		}
	}
	t.Logf("h2spec: %d of %d", passed, total)
	if total != 146 {
		t.Errorf("h2spec has run %d cases, of 146\n%s", total, out)
	}
}
