package console

import (
	"cmp"
	"net/url"
	"slices"
)

type secretsPageData struct {
	service      string // the id of the one that is chosen
	services     []service
	applications []application
	secrets      []secret
	findings     []finding
}

// owner says what a secret belongs to.
func (p secretsPageData) owner(s secret) string {
	switch s.Kind {
	case "SERVICE":
		return "the service " + serviceName(p.services, s.Service)
	case "SUBSCRIPTION":
		names := executionsPageData{applications: p.applications}
		return names.applicationName(s.Application) + " with " + serviceName(p.services, s.Service)
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

func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// path is the address of a secret's page, api that of its route.
func (s secret) path() string { return withQuery("/secrets/"+url.PathEscape(s.Name), s.query()) }

func (s secret) api(rest string) string {
	return withQuery(catalog+"/secrets/"+url.PathEscape(s.Name)+rest, s.query())
}

func (v *visit) secretsData() (p secretsPageData, err error) {
	var names executionsPageData
	err = names.name(v)
	p.services, p.applications = names.services, names.applications
	return p, err
}

func secretsPage(v *visit) (view, error) {
	p, err := v.secretsData()
	if err != nil {
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
	owner  string
	people map[string]string
}

// name is the name of a person.
func (d secretDetails) name(id string) string { return cmp.Or(d.people[id], id) }

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
	d := secretDetails{people: map[string]string{v.person.ID: v.person.Username}}
	asked := secret{Name: v.r.PathValue("name"), Service: v.r.URL.Query().Get("serviceId"), Application: v.r.URL.Query().Get("applicationId")}
	if err := v.get(catalog+"/secrets/"+url.PathEscape(asked.Name), asked.query(), &d.secret); err != nil {
		return view{}, err
	}
	slices.SortFunc(d.Versions, func(a, b secretVersion) int { return cmp.Compare(b.Version, a.Version) })
	p, err := v.secretsData()
	if err != nil {
		return view{}, err
	}
	d.owner = p.owner(d.secret)
	for _, m := range v.members() {
		d.people[m.ID] = m.DisplayName
	}
	return view{d.Name, secretBody(d)}, nil
}
