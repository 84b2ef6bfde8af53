package console

import (
	"net/url"
	"slices"
)

func applicationsPage(v *visit) (view, error) {
	applications, err := list[application](v.caller, catalog+"/applications", nil, 1000)
	if err != nil {
		return view{}, err
	}
	return view{"Applications", applicationsBody(applications)}, nil
}

// applicationDetails is an application with its keys and subscriptions.
type applicationDetails struct {
	application
	keys          []accessKey
	subscriptions []subscription
	// offers are services of the account that it could be subscribed to.
	offers []service
}

func applicationPage(v *visit) (view, error) {
	path := catalog + "/applications/" + url.PathEscape(v.r.PathValue("id"))
	d := applicationDetails{}
	if err := v.get(path, nil, &d.application); err != nil {
		return view{}, err
	}
	var err error
	if d.keys, err = list[accessKey](v.caller, path+"/access-keys", nil, 100); err != nil {
		return view{}, err
	}
	if d.subscriptions, err = list[subscription](v.caller, path+"/subscriptions", nil, 200); err != nil {
		return view{}, err
	}
	services, err := list[service](v.caller, catalog+"/services", nil, 1000)
	if err != nil {
		return view{}, err
	}
	for _, s := range services {
		taken := slices.ContainsFunc(d.subscriptions, func(have subscription) bool { return have.Service.ID == s.ID })
		if s.Lifecycle != "CREATED" && !taken {
			d.offers = append(d.offers, s)
		}
	}
	return view{"Application " + d.Name, applicationBody(d)}, nil
}
