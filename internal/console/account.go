package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

type membersPageData struct {
	id, role, url string
	organization  bool
	members       []member
}

func (p membersPageData) owner() bool { return p.role == "OWNER" }

// acting is the account that the person acts for.
func (v *visit) acting() account {
	for _, a := range v.accounts {
		if a.ID == v.accountID() {
			return a
		}
	}
	return account{}
}

// members are those of the account, as far as the person may see them.
func (v *visit) members() []member {
	if !v.acting().IsOrganization {
		return nil
	}
	members, err := list[member](v.caller, catalog+"/organizations/"+url.PathEscape(v.accountID())+"/members", nil, 1000)
	if err != nil {
		return nil
	}
	return members
}

func membersPage(v *visit) (view, error) {
	a := v.acting()
	p := membersPageData{id: a.ID, role: a.Role, organization: a.IsOrganization, url: v.address()}
	if p.organization {
		var err error
		p.members, err = list[member](v.caller, catalog+"/organizations/"+url.PathEscape(p.id)+"/members", nil, 1000)
		if err != nil {
			return view{}, err
		}
	}
	return view{"Members", membersBody(p)}, nil
}

// address is where the browser has called the server.
func (v *visit) address() string {
	if v.r.TLS != nil || v.r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + v.r.Host
	}
	return "http://" + v.r.Host
}

const (
	// auditPageSize is how many entries a page shows at most, auditWindow how many it
	// reads to find them.
	auditPageSize = 100
	auditWindow   = 1000
)

type auditPageData struct {
	names
	// service is the id of one; empty: all.
	action, name, outcome, service string
	entries                        []auditEntry
	head                           int
	// older is the number before which older entries are; 0: there are none.
	older int
}

func (p auditPageData) olderPath() string {
	query := url.Values{"before": {strconv.Itoa(p.older)}}
	for name, value := range map[string]string{"action": p.action, "name": p.name, "outcome": p.outcome, "serviceId": p.service} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return "/audit?" + query.Encode()
}

// takes reports whether an entry is like the filters.
func (p auditPageData) takes(e auditEntry) bool {
	if !strings.Contains(strings.ToLower(e.Action), strings.ToLower(p.action)) || p.outcome != "" && e.Outcome != p.outcome {
		return false
	}
	if p.service != "" && e.Details["service"] != p.service && !strings.Contains(e.Target, p.service) {
		return false
	}
	if p.name == "" {
		return true
	}
	for _, f := range append(p.facts(e), p.who(e)) {
		if strings.Contains(f.value, p.name) {
			return true
		}
	}
	for _, value := range e.Details {
		if strings.Contains(value, p.name) {
			return true
		}
	}
	return strings.Contains(e.Target, p.name)
}

func auditPage(v *visit) (view, error) {
	query := v.r.URL.Query()
	p := auditPageData{action: query.Get("action"), name: query.Get("name"), outcome: query.Get("outcome"), service: query.Get("serviceId")}
	var err error
	if p.names, err = v.readNames(); err != nil {
		return view{}, err
	}
	p.people = v.people()
	if p.pools, err = list[pool](v.caller, catalog+"/datapools", nil, 1000); err != nil && statusOf(err) != http.StatusForbidden {
		return view{}, err
	}
	var answer struct {
		Head    int `json:"head"`
		Entries []struct {
			Entry auditEntry `json:"entry"`
		} `json:"entries"`
	}
	read := func(after, limit int) error {
		return v.get(catalog+"/audit", url.Values{"after": {strconv.Itoa(after)}, "limit": {strconv.Itoa(limit)}}, &answer)
	}
	if err := read(0, 1); err != nil { // where the log ends
		return view{}, err
	}
	p.head = answer.Head
	before := p.head + 1
	if given, err := strconv.Atoi(query.Get("before")); err == nil && given > 0 {
		before = min(before, given)
	}
	after := max(0, before-1-auditWindow)
	answer.Entries = nil
	if before > 1 {
		if err := read(after, min(auditWindow, before-1)); err != nil {
			return view{}, err
		}
	}
	p.older = after + 1
	for _, link := range slices.Backward(answer.Entries) {
		if link.Entry.Number >= before || !p.takes(link.Entry) {
			continue
		}
		if len(p.entries) == auditPageSize {
			p.older = p.entries[len(p.entries)-1].Number
			break
		}
		p.entries = append(p.entries, link.Entry)
	}
	if p.older <= 1 {
		p.older = 0
	}
	return view{"Audit", auditBody(p)}, nil
}

// used is the part of the disk in use.
func (h Health) used() string {
	if h.DiskSize == 0 {
		return "0"
	}
	return fmt.Sprintf("%.3f", 1-float64(h.DiskFree)/float64(h.DiskSize))
}

// serverPage is for the owner of the server: it shows what concerns all accounts.
func serverPage(v *visit) (view, error) {
	if !v.ownsServer() {
		return view{}, &problem{Status: http.StatusForbidden, Title: "Only the owner of the server sees its state."}
	}
	h, err := v.console.Health(v.r.Context())
	if err != nil {
		return view{}, err
	}
	return view{"Server", serverBody(h, v.console.Version)}, nil
}

// ownsServer reports whether the person owns the server, and it shows its state.
func (v *visit) ownsServer() bool { return v.console.Health != nil && v.person.ID == v.console.Owner }
