package console

import (
	"fmt"
	"net/url"
	"strings"
)

// serviceDetails is a service with all that its page shows.
type serviceDetails struct {
	service
	activity      activity
	versions      []definition
	revisions     []revision
	subscriptions []subscription
	findings      []finding
}

// base is the path of the newest version's API; empty if none was built.
func (d serviceDetails) base() string {
	for _, v := range d.versions {
		if v.ActiveRevision != "" {
			return v.path()
		}
	}
	return ""
}

func (d serviceDetails) revisionsOf(definition string) []revision {
	var some []revision
	for _, r := range d.revisions {
		if r.Definition == definition {
			some = append(some, r)
		}
	}
	return some
}

// text is the state of a secret in words.
func (f finding) text() string {
	if f.Status == "OK" && f.Version > 0 {
		return fmt.Sprintf("stored, version %d", f.Version)
	}
	return strings.ToLower(f.Status)
}

// source says where the value comes from.
func (f finding) source() string {
	switch {
	case f.Status == "UNUSED":
		return "it is stored, but no parameter has this name"
	case f.From != "":
		return "the " + strings.ToLower(f.From)
	case f.Status == "MISSING":
		return "it is not stored: set it, or send it with each request"
	default:
		return "a request may bring it"
	}
}

// servicePath is the address of a service in the API.
func servicePath(id, rest string) string { return catalog + "/services/" + url.PathEscape(id) + rest }

func servicePage(v *visit) (view, error) {
	id := v.r.PathValue("id")
	d := serviceDetails{}
	if err := v.get(servicePath(id, ""), nil, &d.service); err != nil {
		return view{}, err
	}
	if err := v.get(servicePath(id, "/activity"), nil, &d.activity); err != nil {
		return view{}, err
	}
	var err error
	if d.versions, err = list[definition](v.caller, servicePath(id, "/versions"), nil, 20); err != nil {
		return view{}, err
	}
	if d.revisions, err = list[revision](v.caller, servicePath(id, "/revisions"), nil, 100); err != nil {
		return view{}, err
	}
	for _, version := range d.versions { // the service itself names neither
		d.Lifecycle = version.Lifecycle
		if d.CreatedAt.IsZero() || version.CreatedAt.Before(d.CreatedAt.Time) {
			d.CreatedAt = version.CreatedAt
		}
	}
	d.subscriptions, err = list[subscription](v.caller, servicePath(id, "/subscriptions"), nil, 100)
	if err != nil && statusOf(err) != 403 { // a member without the right to applications
		return view{}, err
	}
	c, err := v.check(id)
	if err != nil {
		return view{}, err
	}
	d.findings = c.Findings
	return view{"Service " + d.title(), serviceBody(d)}, nil
}

// revisionDetails is a revision with the log of its build.
type revisionDetails struct {
	service  service
	revision revision
	lines    []logLine
}

// logPath is the address of the events of the build.
func (d revisionDetails) logPath() string {
	return servicePath(d.service.ID, "/revisions/"+url.PathEscape(d.revision.ID)+"/build-logs")
}

func revisionPage(v *visit) (view, error) {
	d := revisionDetails{}
	if err := v.get(servicePath(v.r.PathValue("id"), ""), nil, &d.service); err != nil {
		return view{}, err
	}
	if err := v.get(servicePath(d.service.ID, "/revisions/"+url.PathEscape(v.r.PathValue("revision"))), nil, &d.revision); err != nil {
		return view{}, err
	}
	if !d.revision.working() { // else the events bring the lines
		if err := v.get(d.logPath(), nil, &d.lines); err != nil {
			return view{}, err
		}
	}
	return view{fmt.Sprintf("Revision %d of %s", d.revision.Number, d.service.title()), revisionBody(d)}, nil
}
