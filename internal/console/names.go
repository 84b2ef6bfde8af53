package console

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// names has the names of what an account has, for pages that know ids.
type names struct {
	services     []service
	applications []application
	pools        []pool
	people       map[string]string
}

// readNames reads the services and the applications of the account.
func (v *visit) readNames() (n names, err error) {
	if n.services, err = list[service](v.caller, catalog+"/services", nil, 1000); err != nil {
		return n, err
	}
	n.applications, err = list[application](v.caller, catalog+"/applications", nil, 1000)
	if statusOf(err) == 403 {
		err = nil
	}
	return n, err
}

// people are the names of the members of the account, by their ids.
func (v *visit) people() map[string]string {
	all := map[string]string{v.person.ID: v.person.Username}
	for _, m := range v.members() {
		all[m.ID] = m.DisplayName
	}
	return all
}

// serviceFact is the name of a service, with its page if the account has it.
func (n *names) serviceFact(id string) fact {
	return fact{value: n.serviceName(id), path: n.named("service", id).path}
}

func (n *names) serviceName(id string) string {
	if f := n.named("service", id); f.path != "" {
		return f.value
	}
	return "a service of another account"
}

// starter names the starter of an execution.
func (n *names) starter(s starter) fact {
	switch f := n.named(strings.ToLower(s.Kind), s.ID); {
	case s.ID == "":
		return fact{value: "a member"}
	case s.Kind == "APPLICATION" && f.path == "":
		return fact{value: "a deleted application"}
	case s.Kind == "PERSON" && f.value == s.ID:
		return fact{value: "a former member"}
	case s.Kind == "EXECUTION":
		f.name = "execution"
		return f
	default:
		f.name = ""
		return f
	}
}

func (n *names) applicationName(id string) string {
	if f := n.named("application", id); f.path != "" {
		return f.value
	}
	return "a deleted application"
}

// personName is the name of a person, or the id of a former member.
func (n *names) personName(id string) string { return cmp.Or(n.people[id], id) }

// A fact is a name with a value, and the page of what it names, if there is one.
type fact struct{ name, value, path string }

// named is a fact about something with an id.
func (n *names) named(kind, id string) fact {
	f := fact{name: kind, value: id}
	switch kind {
	case "service":
		for _, s := range n.services {
			if s.ID == id {
				f.value, f.path = s.title(), "/services/"+url.PathEscape(id)
			}
		}
	case "application":
		for _, a := range n.applications {
			if a.ID == id {
				f.value, f.path = a.Name, "/applications/"+url.PathEscape(id)
			}
		}
	case "pool", "datapool":
		for _, p := range n.pools {
			if p.ID == id {
				f.value, f.path = p.Name, "/pools/"+url.PathEscape(id)
			}
		}
	case "execution":
		f.value, f.path = execution{ID: id}.short(), "/executions/"+url.PathEscape(id)
	default:
		f.value = n.personName(id)
	}
	return f
}

// who did what an entry is about.
func (n *names) who(e auditEntry) fact {
	f := n.named(strings.ToLower(e.Actor.Kind), e.Actor.ID)
	if n.people[e.Actor.ID] != "" {
		f.name = ""
	}
	return f
}

// facts are the details of an entry, in a fixed order.
func (n *names) facts(e auditEntry) []fact {
	var facts []fact
	for _, name := range slices.Sorted(maps.Keys(e.Details)) {
		facts = append(facts, n.named(name, e.Details[name]))
	}
	return facts
}
