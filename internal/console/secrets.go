package console

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

type secretsPageData struct {
	names
	service  string // the id of the one that is chosen
	secrets  []secret
	findings []finding
}

// known are the stored secrets: the ids of their services with their names.
func (p secretsPageData) known() string {
	var known []string
	for _, s := range p.secrets {
		if s.Kind == "SERVICE" || s.Kind == "TENANT" {
			known = append(known, s.Service+"/"+s.Name)
		}
	}
	return strings.Join(known, " ")
}

// owner says what a secret belongs to.
func (n *names) owner(s secret) string {
	switch s.Kind {
	case "SERVICE":
		return "the service " + n.serviceName(s.Service)
	case "SUBSCRIPTION":
		return n.applicationName(s.Application) + " with " + n.serviceName(s.Service)
	case "ENVIRONMENT":
		return "the runtime configuration of " + n.serviceName(s.Service)
	case "PROVIDER":
		return "the account, as the token of a provider"
	default:
		return "the account"
	}
}

// query names what a secret belongs to.
func (s secret) query() url.Values {
	query := url.Values{}
	if s.Service != "" {
		query.Set("serviceId", s.Service)
	}
	if s.Application != "" {
		query.Set("applicationId", s.Application)
	}
	return query
}

// auditPath is the address of the audit entries about the secret.
func (s secret) auditPath() string {
	query := s.query()
	query.Del("applicationId")
	query.Set("name", s.Name)
	return withQuery("/audit", query)
}

// list is the address of the page with the secret among others.
func (s secret) list() string {
	query := s.query()
	query.Del("applicationId")
	return withQuery("/secrets", query)
}

func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// path is the address of a secret's page, api that of its route. A secret that another
// part of the platform holds has no page: it leads to what holds it.
func (s secret) path() string {
	switch s.Kind {
	case "ENVIRONMENT":
		return "/services/" + url.PathEscape(s.Service)
	case "PROVIDER":
		return s.auditPath()
	default:
		return withQuery("/secrets/"+url.PathEscape(s.Name), s.query())
	}
}

func (s secret) api(rest string) string {
	return withQuery(catalog+"/secrets/"+url.PathEscape(s.Name)+rest, s.query())
}

func secretsPage(v *visit) (view, error) {
	var p secretsPageData
	var err error
	if p.names, err = v.readNames(); err != nil {
		return view{}, err
	}
	p.service = v.r.URL.Query().Get("serviceId")
	query := url.Values{}
	if p.service != "" {
		query.Set("serviceId", p.service)
		c, err := v.check(p.service)
		if err != nil {
			return view{}, err
		}
		p.findings = c.Findings
		slices.SortFunc(p.findings, func(a, b finding) int { return cmp.Compare(a.Name, b.Name) })
	}
	if p.secrets, err = list[secret](v.caller, catalog+"/secrets", query, 1000); err != nil {
		return view{}, err
	}
	return view{"Secrets", secretsBody(p)}, nil
}

// secretDetails is a secret with its versions.
type secretDetails struct {
	secret
	names
}

// override names the callers that may send another value.
func (d secretDetails) override() string {
	switch d.Override {
	case "OWN":
		return "callers of the account"
	case "ANY":
		return "every caller"
	default:
		return "no caller"
	}
}

func secretPage(v *visit) (view, error) {
	var d secretDetails
	asked := secret{Name: v.r.PathValue("name"), Service: v.r.URL.Query().Get("serviceId"), Application: v.r.URL.Query().Get("applicationId")}
	if err := v.get(catalog+"/secrets/"+url.PathEscape(asked.Name), asked.query(), &d.secret); err != nil {
		return view{}, err
	}
	slices.SortFunc(d.Versions, func(a, b secretVersion) int { return cmp.Compare(b.Version, a.Version) })
	var err error
	if d.names, err = v.readNames(); err != nil {
		return view{}, err
	}
	d.people = v.people()
	return view{"Secret " + d.Name, secretBody(d)}, nil
}
