package console

import (
	"net/url"
	"strconv"
	"time"
)

var statuses = []string{"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"}

// spans are the choices of how old executions may be.
var spans = []struct{ value, text string }{{"", "Any time"}, {"1h", "The last hour"}, {"24h", "The last day"}, {"168h", "The last week"}}

// executionsPerPage is how many the list shows at once.
const executionsPerPage = 50

type executionsPageData struct { //nolint:recvcheck // templates take values
	query        url.Values
	services     []service
	applications []application
	executions   executions
}

// here is the address of the page.
func (p executionsPageData) here() string { return p.at(p.executions.Page) }

// at is the address of another page of the list.
func (p executionsPageData) at(page int) string {
	query := url.Values{}
	for name, values := range p.query {
		if len(values) > 0 && values[0] != "" && name != "page" {
			query[name] = values[:1]
		}
	}
	if page > 0 {
		query.Set("page", strconv.Itoa(page))
	}
	if len(query) == 0 {
		return "/executions"
	}
	return "/executions?" + query.Encode()
}

func (p executionsPageData) first() int { return p.executions.Page*executionsPerPage + 1 }

func (p executionsPageData) filtered() bool {
	for _, name := range []string{"serviceId", "status", "applicationId", "tags", "since", "page"} {
		if p.query.Get(name) != "" {
			return true
		}
	}
	return false
}

func (p executionsPageData) serviceName(id string) string { return serviceName(p.services, id) }

func serviceName(services []service, id string) string {
	for _, s := range services {
		if s.ID == id {
			return s.title()
		}
	}
	return "a service of another account"
}

func (p executionsPageData) applicationName(id string) string {
	if id == "" {
		return "a member"
	}
	for _, a := range p.applications {
		if a.ID == id {
			return a.Name
		}
	}
	return "a deleted application"
}

// name has the services and applications of the account.
func (p *executionsPageData) name(v *visit) (err error) {
	if p.services, err = list[service](v.caller, catalog+"/services", nil, 1000); err != nil {
		return err
	}
	p.applications, err = list[application](v.caller, catalog+"/applications", nil, 1000)
	if statusOf(err) == 403 {
		err = nil
	}
	return err
}

func executionsPage(v *visit) (view, error) {
	p := executionsPageData{query: v.r.URL.Query()}
	if err := p.name(v); err != nil {
		return view{}, err
	}
	query := url.Values{"size": {strconv.Itoa(executionsPerPage)}}
	for _, name := range []string{"serviceId", "status", "applicationId", "tags", "page"} {
		if value := p.query.Get(name); value != "" {
			query.Set(name, value)
		}
	}
	if since, err := time.ParseDuration(p.query.Get("since")); err == nil {
		query.Set("createdAfter", time.Now().Add(-since).UTC().Format(time.RFC3339))
	}
	if err := v.get(catalog+"/service-executions", query, &p.executions); err != nil {
		return view{}, err
	}
	return view{"Executions", executionsBody(p)}, nil
}
