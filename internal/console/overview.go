package console

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxServices is how many services one page shows.
const maxServices = 100

// A place is a link of the navigation.
type place struct{ path, text string }

// places are those that the person may go to.
func (v *visit) places() []place {
	all := []place{
		{"/", "Services"}, {"/executions", "Executions"}, {"/secrets", "Secrets"}, {"/pools", "Data pools"},
		{"/applications", "Applications"}, {"/members", "Members"}, {"/audit", "Audit"},
	}
	if v.ownsServer() {
		all = append(all, place{"/server", "Server"})
	}
	return all
}

// within reports whether the page of a visit is at or below a path.
func (v *visit) within(path string) bool {
	if path == "/" {
		return v.path == "/" || strings.HasPrefix(v.path, "/services/")
	}
	return v.path == path || strings.HasPrefix(v.path, path+"/")
}

// accountID is the account that the person acts for.
func (v *visit) accountID() string { return cmp.Or(v.session.Account, v.person.ID) }

// A glance is a service on the first page.
type glance struct {
	service
	newest   string
	activity activity
	// secrets says which secrets somebody must see to.
	secrets string
}

func (g glance) version() string {
	if g.newest == "" {
		return "no version"
	}
	return "version " + g.newest
}

// activity is what the latest executions of a service were like.
type activity struct {
	LastHour int     `json:"lastHour"`
	Points   []point `json:"points"`
}

type point struct {
	Status       string `json:"status"`
	Milliseconds int64  `json:"milliseconds"`
}

// bar is a point of a chart.
type bar struct {
	point
	x      int
	height float64
}

const (
	chartBars   = 50
	barWidth    = 4
	chartHeight = 36
)

// bars are the latest points, the newest last.
func (a activity) bars() []bar {
	points := a.Points[:min(len(a.Points), chartBars)]
	longest := int64(1)
	for _, p := range points {
		longest = max(longest, p.Milliseconds)
	}
	bars := make([]bar, 0, chartBars)
	for i, p := range slices.Backward(points) {
		least := 2.0
		if p.Status == "FAILED" {
			least = chartHeight / 2 // most failures are short, and must be seen
		}
		bars = append(bars, bar{p, (chartBars - 1 - i) * barWidth, max(least, chartHeight*float64(p.Milliseconds)/float64(longest))})
	}
	return bars
}

// ended are the points with a result.
func (a activity) ended() (ended, failed int, times []int64) {
	for _, p := range a.Points {
		switch p.Status {
		case "FAILED":
			failed++
			fallthrough
		case "SUCCEEDED":
			ended++
			times = append(times, p.Milliseconds)
		}
	}
	slices.Sort(times)
	return ended, failed, times
}

func (a activity) hour() string { return strconv.Itoa(a.LastHour) }

func (a activity) failures() string {
	ended, failed, _ := a.ended()
	if ended == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d", failed, ended)
}

// percentile is the duration that 95 % of the latest executions did not exceed.
func (a activity) percentile() string {
	_, _, times := a.ended()
	if len(times) == 0 {
		return "–"
	}
	return exact(time.Duration(times[(len(times)*95+99)/100-1]) * time.Millisecond)
}

// describe is the chart in words.
func (a activity) describe() string {
	ended, failed, _ := a.ended()
	if ended == 0 {
		return "No execution has ended yet."
	}
	if ended == 1 {
		return fmt.Sprintf("One execution has ended, after %s; %d failed.", a.percentile(), failed)
	}
	return fmt.Sprintf("Of the latest %d executions %d failed; 95 %% took at most %s.", ended, failed, a.percentile())
}

// exact is a duration with milliseconds where they matter.
func exact(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return span(d)
	}
}

func overview(v *visit) (view, error) {
	services, err := list[service](v.caller, catalog+"/services", nil, maxServices)
	if err != nil {
		return view{}, err
	}
	glances := make([]glance, len(services))
	for i, s := range services {
		g := glance{service: s}
		if err := v.get(catalog+"/services/"+url.PathEscape(s.ID)+"/activity", nil, &g.activity); err != nil {
			return view{}, err
		}
		versions, err := list[definition](v.caller, catalog+"/services/"+url.PathEscape(s.ID)+"/versions", nil, 1)
		if err != nil {
			return view{}, err
		}
		if len(versions) > 0 {
			g.newest = versions[0].Version
		}
		g.secrets, err = v.problems(s.ID)
		if err != nil {
			return view{}, err
		}
		glances[i] = g
	}
	return view{"Services", overviewBody(glances)}, nil
}

// checked is the answer of the check of a service's secrets.
type checked struct {
	Findings []finding `json:"findings"`
}

func (v *visit) check(service string) (checked, error) {
	var c checked
	err := v.get(catalog+"/secrets-check", url.Values{"serviceId": {service}}, &c)
	if s := statusOf(err); err != nil && (s == 404 || s == 400 || s == 403) { // never built, or not the caller's to see
		return checked{}, nil
	}
	return c, err
}

// problems says in words which secrets of a service somebody must see to.
func (v *visit) problems(service string) (string, error) {
	c, err := v.check(service)
	counts := map[string]int{}
	for _, f := range c.Findings {
		if f.Problem {
			counts[strings.ToLower(f.Status)]++
		}
	}
	var parts []string
	for _, status := range []string{"missing", "expired", "expiring", "unused"} {
		if n := counts[status]; n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+status)
		}
	}
	return strings.Join(parts, ", "), err
}
