package console

import (
	"net/url"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

var statuses = []string{"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"}

// spans are the choices of how old executions may be.
var spans = []struct{ value, text string }{{"", "Any time"}, {"1h", "The last hour"}, {"24h", "The last day"}, {"168h", "The last week"}}

// executionsPerPage is how many the list shows at once, and countedExecutions up to where
// it counts them, which takes long where there are many.
const (
	executionsPerPage = 50
	countedExecutions = 10_000
)

type executionsPageData struct {
	names
	query      url.Values
	executions executions
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

// total is how many there are.
func (p executionsPageData) total() string {
	if p.executions.Total == countedExecutions {
		return "more than " + humanize.Comma(countedExecutions-1)
	}
	return humanize.Comma(int64(p.executions.Total))
}

// more reports whether the list goes on.
func (p executionsPageData) more() bool {
	return p.executions.Page+1 < p.executions.Pages || p.executions.Total == countedExecutions && len(p.executions.Content) == executionsPerPage
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

func executionsPage(v *visit) (view, error) {
	p := executionsPageData{query: v.r.URL.Query()}
	var err error
	if p.names, err = v.readNames(); err != nil {
		return view{}, err
	}
	p.people = v.people()
	query := url.Values{"size": {strconv.Itoa(executionsPerPage)}, "countTo": {strconv.Itoa(countedExecutions)}}
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
