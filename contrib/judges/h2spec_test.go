package judges

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// threeWrites are the cases that h2spec does not always judge rightly: their
// request comes in three writes, of which the last has the fault, and is not
// gRPC's. A server that sees two of them first may answer with a status of HTTP
// and RST_STREAM(NO_ERROR), which RFC 9113, section 8.1, allows, and must then
// ignore the third. So these may be tried again.
var threeWrites = []string{
	"http2/8.1/1",     // a second HEADERS without END_STREAM
	"http2/8.1.2.1/3", // trailers with a pseudo-header field
	"http2/8.1.2.6/2", // several DATA and another content-length
}

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
		for i, c := range g.Cases {
			total++
			id := fmt.Sprintf("%s/%d", g.Package, i+1) // as h2spec takes it
			switch {
			case c.Skipped != nil:
				t.Errorf("%s: %s: skipped", id, c.Name)
			case c.Failure == nil && c.Error == nil:
				passed++
			case slices.Contains(threeWrites, id) && again(t, judge, append(at, id, "-o", "1")):
				t.Logf("%s: %s: not at once", id, c.Name)
				passed++
			default:
				t.Errorf("%s: %s", id, c.Name)
			}
		}
	}
	t.Logf("h2spec: %d of %d", passed, total)
	if total != 146 {
		t.Errorf("h2spec has run %d cases, of 146\n%s", total, out)
	}
}

// again reports whether a case is passed in one of ten more tries.
func again(t *testing.T, judge string, args []string) bool {
	for range 10 {
		if _, err := run(t, judge, args...); err == nil {
			return true
		}
	}
	return false
}
