package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/web"
)

// executionDetails is an execution with all that its page shows.
type executionDetails struct { //nolint:recvcheck // templates take values
	execution
	names
	times timeline
	// version and revision are what ran; their names are empty if they were deleted.
	version  string
	revision fact
	// kept says that its input was kept, so that it can run again.
	kept    bool
	input   value
	result  value
	files   []file
	problem problem
}

// timeline has the moments of an execution.
type timeline struct {
	AcceptedAt *time.Time `json:"acceptedAt"`
	StartedAt  *time.Time `json:"startedAt"`
	EndedAt    *time.Time `json:"endedAt"`
	StartedBy  starter    `json:"startedBy"`
	Revision   string     `json:"revisionId"`
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
func (p *problem) hint() string { return web.AdviceFor(p.Title, p.Detail) }

func executionPage(v *visit) (view, error) {
	path := catalog + "/service-executions/" + url.PathEscape(v.r.PathValue("id"))
	d := executionDetails{}
	if err := v.get(path, nil, &d.execution); err != nil {
		return view{}, err
	}
	if err := v.get(path+"/timeline", nil, &d.times); err != nil {
		return view{}, err
	}
	var err error
	if d.names, err = v.readNames(); err != nil {
		return view{}, err
	}
	d.people = v.people()
	if err := d.readVersion(v); err != nil {
		return view{}, err
	}
	var job struct {
		Input *string `json:"input"`
	}
	if err := v.get(catalog+"/service-jobs/"+url.PathEscape(d.ID), nil, &job); err != nil {
		return view{}, err
	}
	if d.kept = job.Input != nil; d.kept {
		d.input = parse([]byte(*job.Input))
	}
	if d.final() && d.Status != "CANCELLED" {
		if err := d.readResult(v, path); err != nil {
			return view{}, err
		}
	}
	return view{"Execution " + d.short(), executionBody(d)}, nil
}

// readVersion reads the names of the version and the revision that ran. A service of
// another account shows neither.
func (d *executionDetails) readVersion(v *visit) error {
	versions, err := list[definition](v.caller, servicePath(d.Service, "/versions"), nil, 100)
	if statusOf(err) == http.StatusNotFound || statusOf(err) == http.StatusForbidden {
		return nil
	}
	if err != nil {
		return err
	}
	for _, version := range versions {
		if version.ID == d.Definition {
			d.version = version.Version
		}
	}
	var r revision
	err = v.get(servicePath(d.Service, "/revisions/"+url.PathEscape(d.times.Revision)), nil, &r)
	switch {
	case err == nil:
		d.revision = fact{value: strconv.Itoa(r.Number), path: "/services/" + url.PathEscape(d.Service) + "/revisions/" + url.PathEscape(r.ID)}
	case statusOf(err) != http.StatusNotFound && statusOf(err) != http.StatusForbidden:
		return err
	}
	return nil
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
