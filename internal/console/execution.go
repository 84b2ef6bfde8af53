package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// executionDetails is an execution with all that its page shows.
type executionDetails struct { //nolint:recvcheck // templates take values
	execution
	times                  timeline
	serviceName, startedBy string
	// rerun says that its input was kept, so that it can run again.
	rerun   bool
	result  value
	files   []file
	problem problem
}

// timeline has the moments of an execution.
type timeline struct {
	AcceptedAt *time.Time `json:"acceptedAt"`
	StartedAt  *time.Time `json:"startedAt"`
	EndedAt    *time.Time `json:"endedAt"`
}

type file struct{ name, path string }

// step is a moment of a timeline, and how long after the one before it came.
type step struct {
	name  string
	at    time.Time
	after string
}

func (d executionDetails) steps() []step {
	end := "Ended"
	switch d.Status {
	case "SUCCEEDED":
		end = "Succeeded"
	case "FAILED":
		end = "Failed"
	case "CANCELLED":
		end = "Cancelled"
	}
	steps := []step{{name: "Accepted"}, {name: "Started"}, {name: end}}
	var last time.Time
	for i, at := range []*time.Time{d.times.AcceptedAt, d.times.StartedAt, d.times.EndedAt} {
		if at == nil {
			continue
		}
		steps[i].at = *at
		if !last.IsZero() {
			steps[i].after = "after " + exact(at.Sub(last))
		}
		last = *at
	}
	if d.final() && d.times.StartedAt == nil { // refused, or cancelled while it waited
		steps = slices.Delete(steps, 1, 2)
	}
	return steps
}

// title is the title of the problem of an execution.
func (p *problem) title() string { return cmp.Or(p.Title, "The execution failed") }

// hint says what to do about the problem of an execution.
func (p *problem) hint() string {
	text := strings.ToLower(p.Title + " " + p.Detail)
	for _, h := range []struct{ word, hint string }{
		{"secret", "Set the secret on the page Secrets, or send it with the request. Then run it again."},
		{"memory", "Give the service more memory, or have it use less: see its limits on its page."},
		{"time", "Raise the service's time limit, or have it do less at once."},
		{"server stopped", "The server ended while it ran. Start it again."},
		{"no space", "The disk of the server is full: see the page Server."},
	} {
		if strings.Contains(text, h.word) {
			return h.hint
		}
	}
	return "The end of the log below shows where the service failed. Fix it, deploy it with qhubctl up, and run it again."
}

func executionPage(v *visit) (view, error) {
	path := catalog + "/service-executions/" + url.PathEscape(v.r.PathValue("id"))
	d := executionDetails{}
	if err := v.get(path, nil, &d.execution); err != nil {
		return view{}, err
	}
	if err := v.get(path+"/timeline", nil, &d.times); err != nil {
		return view{}, err
	}
	names, err := v.readNames()
	if err != nil {
		return view{}, err
	}
	d.serviceName, d.startedBy = names.serviceName(d.Service), names.applicationName(d.Application)
	var job struct {
		Input *string `json:"input"`
	}
	if err := v.get(catalog+"/service-jobs/"+url.PathEscape(d.ID), nil, &job); err != nil {
		return view{}, err
	}
	d.rerun = job.Input != nil && d.final()
	if d.final() && d.Status != "CANCELLED" {
		if err := d.readResult(v, path); err != nil {
			return view{}, err
		}
	}
	return view{"Execution " + d.short(), executionBody(d)}, nil
}

// readResult reads the result, or the problem, and the names of the files.
func (d *executionDetails) readResult(v *visit, path string) error {
	var text []byte
	if err := v.get(path+"/results", nil, &text); err != nil {
		if _, ok := errors.AsType[*problem](err); ok { // it has none, or it is too large for a page
			return nil
		}
		return err
	}
	var document struct {
		Links map[string]struct {
			Href string `json:"href"`
		} `json:"_links"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	for name, link := range document.Links {
		if name != "status" {
			d.files = append(d.files, file{strings.TrimPrefix(name, "./"), link.Href})
		}
	}
	slices.SortFunc(d.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	if d.Status == "FAILED" {
		return json.Unmarshal(text, &d.problem)
	}
	d.result = parse(text, "_links", "_embedded")
	return nil
}
