package report

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// Plot is a picture of one ratio metric: a group of bars a case, a bar a subject, a whisker for the range, and a
// line where the base stands. It is one SVG file without scripts or fonts of its own, readable on light and dark.
//
//	64x64x1    ███████████├─┤            0.81
//	           ██████████████├──┤    ¦   0.97
//	1000x64x1  █████████├─┤          ¦   0.68
//	0 ─────────────────────────────  1  ──────
type Plot struct {
	Title string
	Note  string // a line below the title: what is better, what the bars are of
	Rows  []Row  // rows of other metrics than Metric are not drawn
	// Metric is the ratio's name in the rows; Base is the subject all others are divided by, and is not drawn.
	Metric, Base string
	Names        Names
}

// Measures of the drawing, in pixels.
const (
	plotWidth  = 760
	letter     = 7  // about the width of one
	plotRight  = 64 // room for the values
	plotTop    = 92
	barHeight  = 14
	barGap     = 3
	groupGap   = 16
	axisHeight = 34
)

const plotStyle = `<style>
  .bg { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e } .line { stroke: #d1d9e0 } .base { stroke: #1f2328 }
  .s0 { fill: #0969da } .s1 { fill: #bc4c00 } .s2 { fill: #8250df } .s3 { fill: #1a7f37 } .s4 { fill: #bf3989 } .s5 { fill: #7d6a00 } .s6 { fill: #57606a }
  .range { stroke: #1f2328; stroke-opacity: .55 }
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif } .title { font-size: 15px; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .bg { fill: #0d1117 } .ink { fill: #e6edf3 } .soft { fill: #9198a1 } .line { stroke: #3d444d } .base { stroke: #e6edf3 }
    .s0 { fill: #4493f8 } .s1 { fill: #f0883e } .s2 { fill: #ab7df8 } .s3 { fill: #3fb950 } .s4 { fill: #f778ba } .s5 { fill: #d29922 } .s6 { fill: #9198a1 }
    .range { stroke: #e6edf3 }
  }
</style>
`

// colours is how many classes .s0, .s1, ... the style has.
const colours = 7

// SVG draws the plot, or returns "" when no row fits.
func (p Plot) SVG() string {
	groups, subjects, most := p.groups()
	if len(groups) == 0 {
		return ""
	}
	height := plotTop + axisHeight
	for _, g := range groups {
		height += len(g)*(barHeight+barGap) + groupGap
	}
	left := p.left(groups)
	scale := (plotWidth - left - plotRight) / most
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n%s", html.EscapeString(p.Title), plotStyle)
	fmt.Fprintf(&b, `<rect class="bg" width="%d" height="%d"/>`+"\n", plotWidth, height)
	text(&b, 16, 26, "ink title", "start", p.Title)
	text(&b, 16, 46, "soft", "start", p.Note)
	p.legend(&b, subjects)
	axis(&b, left, scale, most, height)
	y := plotTop
	for _, g := range groups {
		middle := y + len(g)*(barHeight+barGap)/2 + 3
		text(&b, int(left)-10, middle, "ink", "end", p.Names.Of(g[0].Case))
		for _, r := range g {
			bar(&b, y, left, scale, colourOf(subjects, r.Subject), r)
			y += barHeight + barGap
		}
		y += groupGap
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// groups picks the rows to draw, case by case, and the right end of the axis.
func (p Plot) groups() (groups [][]Row, subjects []string, most float64) {
	most = 1.1
	for _, r := range p.Rows {
		if r.Metric != p.Metric || r.Subject == p.Base {
			continue
		}
		if len(groups) == 0 || groups[len(groups)-1][0].Case != r.Case {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], r)
		if colourOf(subjects, r.Subject) < 0 {
			subjects = append(subjects, r.Subject)
		}
		most = max(most, r.Max*1.02)
	}
	return groups, subjects, most
}

// left is where the bars begin: right of the longest name of a case.
func (p Plot) left(groups [][]Row) float64 {
	longest := 0
	for _, g := range groups {
		longest = max(longest, utf8.RuneCountInString(p.Names.Of(g[0].Case)))
	}
	return float64(longest*letter + 26)
}

func (p Plot) legend(b *strings.Builder, subjects []string) {
	x := 16
	for i, s := range subjects {
		name := p.Names.Of(s)
		fmt.Fprintf(b, `<rect class="s%d" x="%d" y="58" width="12" height="12" rx="2"/>`+"\n", i%colours, x)
		text(b, x+17, 68, "ink", "start", name)
		x += 17 + letter*len(name) + 18
	}
	fmt.Fprintf(b, `<path class="base" d="M%d 64h14" stroke-width="1.5" stroke-dasharray="4 3"/>`+"\n", x)
	text(b, x+20, 68, "ink", "start", p.Names.Of(p.Base)+" = 1")
}

// axis draws a line every 0.25, and the base's across everything.
func axis(b *strings.Builder, left, scale, most float64, height int) {
	bottom := height - axisHeight
	step := 0.25
	for most/step > 10 {
		step *= 2
	}
	for v := 0.0; v <= most; v += step {
		x := left + v*scale
		fmt.Fprintf(b, `<path class="line" d="M%.1f %dV%d"/>`+"\n", x, plotTop-8, bottom)
		text(b, int(x), bottom+18, "soft", "middle", fmt.Sprintf("%.2f", v))
	}
	fmt.Fprintf(b, `<path class="base" d="M%.1f %dV%d" stroke-width="1.5" stroke-dasharray="4 3"/>`+"\n",
		left+scale, plotTop-8, bottom)
}

// bar draws the median as a bar and as a number in the right margin, and the range as a whisker over the bar's end.
func bar(b *strings.Builder, y int, left, scale float64, colour int, r Row) {
	fmt.Fprintf(b, `<rect class="s%d" x="%.0f" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n",
		colour%colours, left, y, r.Median*scale, barHeight)
	low, high, middle := left+r.Min*scale, left+r.Max*scale, float64(y)+barHeight/2
	fmt.Fprintf(b, `<path class="range" d="M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6"/>`+"\n",
		low, middle, high, low, middle-3, high, middle-3)
	text(b, plotWidth-16, y+barHeight-3, "ink", "end", fmt.Sprintf("%.2f", r.Median))
}

func text(b *strings.Builder, x, y int, class, anchor, s string) {
	fmt.Fprintf(b, `<text class="%s" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(s))
}

func colourOf(subjects []string, subject string) int {
	for i, s := range subjects {
		if s == subject {
			return i
		}
	}
	return -1
}
