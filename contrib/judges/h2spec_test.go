package judges

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"testing"
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

// secondHeaders is the one case that h2spec does not always judge rightly: it
// sends HEADERS, DATA and a second HEADERS in three writes, and what it sends is
// no gRPC request. A server that sees two of them first may answer with a
// status of HTTP and RST_STREAM(NO_ERROR), which RFC 9113, section 8.1, allows,
// and must then ignore the third. So the case may be tried again.
const secondHeaders = "Sends a second HEADERS frame without the END_STREAM flag"

// TestH2spec: all sections, strict ones too.
func TestH2spec(t *testing.T) {
	judge := tool(t, ".", "github.com/summerwind/h2spec/cmd/h2spec")
	host, port := hostPort(t, echo(t))
	at := []string{"-S", "-o", "2", "-h", host, "-p", port}
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
			case c.Name == secondHeaders && again(t, judge, append(at, "http2/8.1/1")):
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

// again reports whether a case is passed in one of three more tries.
func again(t *testing.T, judge string, args []string) bool {
	for range 3 {
		if _, err := run(t, judge, args...); err == nil {
			return true
		}
	}
	return false
}
