package console

import (
	"net/url"
	"path"
)

func poolsPage(v *visit) (view, error) {
	pools, err := list[pool](v.caller, catalog+"/datapools", nil, 1000)
	if err != nil {
		return view{}, err
	}
	return view{"Data pools", poolsBody(pools)}, nil
}

// name is the last part of a file's path.
func (f poolFile) name() string { return path.Base(f.Path) }

func poolPage(v *visit) (view, error) {
	at := catalog + "/datapools/" + url.PathEscape(v.r.PathValue("id"))
	var p pool
	if err := v.get(at, nil, &p); err != nil {
		return view{}, err
	}
	files, err := list[poolFile](v.caller, at+"/files", nil, 1000)
	if err != nil {
		return view{}, err
	}
	return view{"Data pool " + p.Name, poolBody(p, files)}, nil
}
