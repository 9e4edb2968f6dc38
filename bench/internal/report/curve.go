package report

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// Curves is a picture of distributions: which share of the durations is not above each value. The value's axis is
// logarithmic, and the share's counts nines, so that the rare ones are seen as well as the common ones. It is one SVG
// file like a Plot's.
//
//	99.9 %│          ┌──       ┌
//	99 %  │      ┌───┘     ┌───┘
//	90 %  │   ┌──┘      ┌──┘
//	0     └───┴─────────┴────────
//	      1 µs     100 µs    10 ms
type Curves struct {
	Title  string
	Note   string
	Panels []Panel
	Names  Names
}

// Panel is one of the drawings, with axes of its own.
type Panel struct {
	Title string
	Lines []Line
}

// Line is what one subject's durations are: at least one, smallest first.
type Line struct {
	Subject string
	Sorted  []time.Duration
}

// Measures of the drawing, in pixels, and the ends of its axes.
const (
	panelWidth  = 290
	panelHeight = 200
	panelLeft   = 62
	panelGap    = 70
	leastNanos  = 100 // 0.1 µs: what is less stands at the edge
	decades     = 7   // to 1 s
	mostNines   = 4.4
)

// nines are the marks of the share's axis.
var nines = []string{"0", "90 %", "99 %", "99.9 %", "99.99 %"}

// SVG draws the panels, two in a row.
func (c Curves) SVG() string {
	subjects := c.subjects()
	rows := (len(c.Panels) + 1) / 2
	height := plotTop + rows*(panelHeight+panelGap)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n%s", html.EscapeString(c.Title), strings.Replace(plotStyle, "<style>\n", "<style>\n"+curveStyle, 1))
	fmt.Fprintf(&b, `<rect class="bg" width="%d" height="%d"/>`+"\n", plotWidth, height)
	text(&b, 16, 26, "ink title", "start", c.Title)
	text(&b, 16, 46, "soft", "start", c.Note)
	x := 16
	for i, s := range subjects {
		name := c.Names.Of(s)
		fmt.Fprintf(&b, `<path class="c%d" d="M%d 64h14"/>`+"\n", i%colours, x)
		text(&b, x+20, 68, "ink", "start", name)
		x += 20 + letter*len(name) + 18
	}
	for i, p := range c.Panels {
		p.draw(&b, float64(panelLeft+i%2*(panelWidth+panelGap)), float64(plotTop+20+i/2*(panelHeight+panelGap)), subjects)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// curveStyle gives lines the colours that a Plot's bars have.
const curveStyle = `  path { fill: none; stroke-width: 1.6; stroke-linejoin: round } .line { stroke-width: 1 }
  .c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #8250df } .c3 { stroke: #1a7f37 } .c4 { stroke: #bf3989 } .c5 { stroke: #7d6a00 } .c6 { stroke: #57606a }
  @media (prefers-color-scheme: dark) {
    .c0 { stroke: #4493f8 } .c1 { stroke: #f0883e } .c2 { stroke: #ab7df8 } .c3 { stroke: #3fb950 } .c4 { stroke: #f778ba } .c5 { stroke: #d29922 } .c6 { stroke: #9198a1 }
  }
`

func (c Curves) subjects() []string {
	var list []string
	for _, p := range c.Panels {
		for _, l := range p.Lines {
			if colourOf(list, l.Subject) < 0 {
				list = append(list, l.Subject)
			}
		}
	}
	return list
}

func (p Panel) draw(b *strings.Builder, left, top float64, subjects []string) {
	bottom := top + panelHeight
	text(b, int(left), int(top)-8, "ink", "start", p.Title)
	for i, s := range nines {
		y := bottom - float64(i)/mostNines*panelHeight
		fmt.Fprintf(b, `<path class="line" d="M%.1f %.1fh%d"/>`+"\n", left, y, panelWidth)
		text(b, int(left)-6, int(y)+4, "soft", "end", s)
	}
	for i := range decades + 1 {
		x := left + float64(i)*panelWidth/decades
		fmt.Fprintf(b, `<path class="line" d="M%.1f %.1fV%.1f"/>`+"\n", x, top, bottom)
		text(b, int(x), int(bottom)+16, "soft", "middle", decade(i))
	}
	for _, l := range p.Lines {
		fmt.Fprintf(b, `<path class="c%d" d="%s"/>`+"\n", colourOf(subjects, l.Subject)%colours, l.path(left, bottom))
	}
}

// decade names the i-th mark of the value's axis, shortly.
func decade(i int) string {
	return [decades + 1]string{"0.1 µs", "1", "10", "100", "1 ms", "10", "100", "1 s"}[i]
}

// steps is how many points a line has for each nine.
const steps = 40

// path goes up in even steps of nines, as far as there are durations: the last step is the longest one's.
func (l Line) path(left, bottom float64) string {
	n := float64(len(l.Sorted))
	var b strings.Builder
	most := min(math.Log10(n)+0.3, mostNines) // log10(n): all but one; the longest itself has no share above it
	for at := 0.0; ; at += 1. / steps {
		at = min(at, most)
		share := 1 - math.Pow(10, -at)
		i := min(int(share*n), len(l.Sorted)-1)
		command := "L"
		if at == 0 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", command, left+panelWidth*across(l.Sorted[i]), bottom-at/mostNines*panelHeight)
		if at == most {
			return b.String()
		}
	}
}

// across is where a duration stands on its axis, from 0 to 1.
func across(d time.Duration) float64 {
	if d <= leastNanos {
		return 0
	}
	return min(math.Log10(float64(d)/leastNanos)/decades, 1)
}
