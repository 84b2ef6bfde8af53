package datapoolapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
)

const pools = "/qc-catalog/datapools"

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// TestPools makes, lists, changes and deletes pools.
func TestPools(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	made := me.call("POST", pools, 201, map[string]any{"name": "Models", "shortDescription": "short", "description": "long", "tags": []string{"ML", "big"}})
	id := made["id"].(string)
	if made["currentUserPermission"] != "OWNER" || fmt.Sprint(made["tags"]) != "[ml big]" || made["shortDescription"] != "short" {
		t.Errorf("POST = %v", made)
	}
	if _, err := time.Parse(time.DateTime, made["createdAt"].(string)); err != nil {
		t.Errorf("createdAt = %v, want yyyy-MM-dd HH:mm:ss", made["createdAt"])
	}
	me.call("POST", pools, 409, map[string]any{"name": "Models"})
	for _, body := range []map[string]any{{"name": "ab"}, {}, {"name": "abc", "shortDescription": strings.Repeat("x", 61)}, {"name": "abc", "tags": []string{""}}, {"name": 1}} {
		if answer := me.call("POST", pools, 400, body); answer["errorMessage"] == "" {
			t.Errorf("POST %v = %v, want a reason", body, answer)
		}
	}
	changed := me.call("PUT", pools+"/"+id, 200, map[string]any{"name": "Weights", "tags": []string{}})
	if changed["name"] != "Weights" || changed["description"] != "long" || len(changed["tags"].([]any)) != 0 {
		t.Errorf("PUT = %v, want a new name, no tags, and the description", changed)
	}
	unchanged := me.call("PUT", pools+"/"+id, 200, map[string]any{"name": "Weights", "description": nil, "shortDescription": nil, "tags": nil})
	if unchanged["description"] != "long" || unchanged["shortDescription"] != "short" {
		t.Errorf("PUT null = %v, want the texts as before", unchanged)
	}
	me.pool("another")
	status, header, answer := me.do("GET", pools+"?size=1&page=1", nil)
	if status != 200 || header.Get("X-Total-Count") != "2" || !strings.Contains(string(answer), "another") {
		t.Errorf("GET the second page = %d %v %s", status, header, answer)
	}
	if all := me.call("GET", pools, 200, nil)["list"].([]any); len(all) != 2 {
		t.Errorf("GET = %v, want two pools in a plain list", all)
	}
	me.call("DELETE", pools+"/"+id, 204, nil)
	me.call("GET", pools+"/"+id, 404, nil)
}

// TestFiles uploads, downloads and deletes files.
func TestFiles(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	id := me.pool("models")
	file := me.put(id, "dir/a%20b.txt", "0123456789", 201)
	if file["fullPath"] != "dir/a b.txt" || file["name"] != "a b.txt" || file["contentLength"] != 10.0 || file["dataPoolId"] != id ||
		file["sha256"] != sumOf("0123456789") || file["version"] != 1.0 || !strings.HasPrefix(file["contentType"].(string), "text/plain") {
		t.Errorf("POST a file = %v", file)
	}
	if named := me.put(id, "", "x", 201); named["fullPath"] != "part.txt" {
		t.Errorf("POST without a name = %v, want the name of the part", named)
	}
	path := pools + "/" + id + "/files/" + file["id"].(string)
	status, header, content := me.do("GET", path, nil)
	etag := header.Get("ETag")
	if status != 200 || string(content) != "0123456789" || etag != `"`+sumOf("0123456789")+`"` || !strings.HasPrefix(header.Get("Repr-Digest"), "sha-256=:") ||
		header.Get("Content-Disposition") != `attachment; filename="a b.txt"` || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("GET a file = %d %v %q", status, header, content)
	}
	if status, header, content := me.do("GET", path, nil, "Range", "bytes=3-5"); status != 206 || string(content) != "345" || header.Get("Content-Range") != "bytes 3-5/10" {
		t.Errorf("GET a part = %d %v %q, want 345", status, header, content)
	}
	if status, _, content := me.do("GET", path, nil, "If-None-Match", etag); status != 304 || len(content) > 0 {
		t.Errorf("GET with the ETag = %d %q, want 304", status, content)
	}
	if status, header, content := me.do("HEAD", path, nil); status != 200 || header.Get("Content-Length") != "10" || len(content) > 0 {
		t.Errorf("HEAD = %d %v %q", status, header, content)
	}
	if again := me.put(id, "dir/a%20b.txt", "22", 201); again["id"] != file["id"] || again["version"] != 2.0 {
		t.Errorf("POST again = %v, want version 2 of the same file", again)
	}
	for name, want := range map[string]int{"..%2Fx": 400, "dir": 409, "dir%2Fa%20b.txt%2Fx": 409, "a%00b": 400} {
		me.put(id, name, "x", want)
	}
	body, kind := p.form("x", "content")
	for query, want := range map[string]int{"sha256=" + sumOf("content"): 201, "sha256=" + sumOf("other"): 400, "sha256=zz": 400} {
		if status, _, answer := me.do("POST", pools+"/"+id+"/files?"+query, body, "Content-Type", kind); status != want {
			t.Errorf("POST ?%s = %d %s, want %d", query, status, answer, want)
		}
	}
	large, kind := p.form("x", strings.Repeat("x", 20<<20+1))
	if status, _, answer := me.do("POST", pools+"/"+id+"/files", large, "Content-Type", kind); status != 413 {
		t.Errorf("POST too much = %d %s, want 413", status, answer)
	}
	if status, _, answer := me.do("POST", pools+"/"+id+"/files", body, "Content-Type", "text/plain"); status != 415 {
		t.Errorf("POST a text = %d %s, want 415", status, answer)
	}
	if status, _, answer := me.do("POST", pools+"/"+id+"/files", body[:len(body)-20], "Content-Type", kind); status != 400 {
		t.Errorf("POST a body that is cut = %d %s, want 400", status, answer)
	}
	names := []string{}
	for _, one := range me.call("GET", pools+"/"+id+"/files", 200, nil)["list"].([]any) {
		names = append(names, one.(map[string]any)["fullPath"].(string))
	}
	if want := []string{"dir/a b.txt", "part.txt", "x"}; !slices.Equal(names, want) {
		t.Errorf("GET files = %q, want %q", names, want)
	}
	me.call("DELETE", path, 204, nil)
	me.call("GET", path, 404, nil)
}

// TestUploadInPieces goes on where the server says.
func TestUploadInPieces(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	id := me.pool("models")
	content := strings.Repeat("0123456789abcdef", 9<<16) // 9 MiB
	size := len(content)
	status, header, answer := me.do("POST", pools+"/"+id+"/uploads",
		fmt.Appendf(nil, `{"fullPath": "big", "size": %d, "sha256": %q}`, size, sumOf(content)), "Content-Type", "application/json")
	upload := header.Get("Location")
	if status != 201 || upload == "" {
		t.Fatalf("POST uploads = %d %s %s", status, upload, answer)
	}
	piece := func(first, last int, want int) (http.Header, []byte) {
		t.Helper()
		status, header, answer := me.do("PUT", upload, []byte(content[first:last+1]), "Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
		if status != want {
			t.Errorf("PUT bytes %d-%d = %d %s, want %d", first, last, status, answer, want)
		}
		return header, answer
	}
	piece(0, 99, 200)
	if header, answer := piece(50, 149, 409); header.Get("Upload-Offset") != "100" || !strings.Contains(string(answer), "byte 100") {
		t.Errorf("PUT from elsewhere = %v %s, want the offset", header, answer)
	}
	if status, header, answer := me.do("HEAD", upload, nil); status != 200 || header.Get("Upload-Offset") != "100" || header.Get("Upload-Length") != strconv.Itoa(size) || len(answer) > 0 {
		t.Errorf("HEAD = %d %v, want the offset 100", status, header)
	}
	for _, bad := range []string{"", "bytes", "bytes 100-99/5", "bytes 100-109/5", "bytes x-y/z", fmt.Sprintf("bytes 100-%d/%d", size, size), "bytes 100-109/1000"} {
		if status, _, answer := me.do("PUT", upload, []byte("0123456789"), "Content-Range", bad); status != 400 {
			t.Errorf("PUT with Content-Range %q = %d %s, want 400", bad, status, answer)
		}
	}
	if all := me.call("GET", pools+"/"+id+"/files", 200, nil)["list"].([]any); len(all) != 0 {
		t.Errorf("before the upload is complete there are the files %v", all)
	}
	_, answer = piece(100, size-1, 200)
	var done struct{ File map[string]any }
	p.must(json.Unmarshal(answer, &done))
	if done.File["sha256"] != sumOf(content) {
		t.Errorf("the last PUT = %.300s, want the file", answer)
	}
	if status, _, answer := me.do("PUT", upload, nil, "Content-Range", fmt.Sprintf("bytes */%d", size)); status != 200 || !bytes.Contains(answer, []byte(sumOf(content))) {
		t.Errorf("PUT after the end = %d %s, want the file again", status, answer)
	}
	if status, _, got := me.do("GET", pools+"/"+id+"/files/"+done.File["id"].(string), nil); status != 200 || string(got) != content {
		t.Errorf("GET = %d, %d bytes, want the content", status, len(got))
	}
	me.call("POST", pools+"/"+id+"/uploads", 413, map[string]any{"fullPath": "x", "size": 1 << 40})
	me.call("POST", pools+"/"+id+"/uploads", 400, map[string]any{"fullPath": "x", "size": 0})
	me.call("POST", pools+"/"+id+"/uploads", 400, map[string]any{"fullPath": "../x", "size": 1})
	me.call("DELETE", upload, 204, nil)
	me.call("GET", upload, 404, nil)
}

// TestShares gives an organization a role for a time.
func TestShares(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	id := me.pool("models")
	o, err := p.CreateOrganization(t.Context(), p.owner, "Team", "")
	p.must(err)
	team := p.as(p.token, o.ID)
	team.call("GET", pools+"/"+id, 404, nil)
	with := map[string]any{"tenantType": "ORGANIZATION", "value": o.ID}
	made := me.call("POST", pools+"/"+id+"/shares", 201, map[string]any{"sharedWith": with, "role": "VIEWER"})
	share := pools + "/" + id + "/shares/" + made["id"].(string)
	if fmt.Sprint(made["active"]) != "true" || made["role"] != "VIEWER" || len(made["constraints"].([]any)) != 0 {
		t.Errorf("POST shares = %v", made)
	}
	if got := team.call("GET", pools+"/"+id, 200, nil); got["currentUserPermission"] != "VIEWER" {
		t.Errorf("GET by a share = %v, want the role of the share", got)
	}
	team.put(id, "x", "x", 403)
	me.call("PUT", share, 200, map[string]any{"role": "MAINTAINER"})
	team.put(id, "x", "x", 201)
	team.call("DELETE", pools+"/"+id, 403, nil)
	c := me.call("POST", share+"/constraints", 201, map[string]any{"type": "TIME_BASED", "validFrom": "2020-01-01 00:00:00", "validUntil": "2020-01-02 00:00:00"})
	if fmt.Sprint(c["active"]) != "false" || c["validUntil"] != "2020-01-02 00:00:00" {
		t.Errorf("POST constraints = %v", c)
	}
	team.call("GET", pools+"/"+id, 404, nil)
	me.call("PUT", share+"/constraints/"+c["id"].(string), 200, map[string]any{"type": "TIME_BASED", "validUntil": "2999-01-01"})
	team.call("GET", pools+"/"+id, 200, nil)
	me.call("PUT", share+"/constraints/none", 404, map[string]any{"validUntil": "2999-01-01"})
	me.call("POST", share+"/constraints", 400, map[string]any{"validUntil": "soon"})
	me.call("DELETE", share+"/constraints/"+c["id"].(string), 204, nil)
	if all := me.call("GET", pools+"/"+id+"/shares", 200, nil)["list"].([]any); len(all) != 1 || len(all[0].(map[string]any)["constraints"].([]any)) != 0 {
		t.Errorf("GET shares = %v, want one for good", all)
	}
	me.call("POST", pools+"/"+id+"/shares", 404, map[string]any{"sharedWith": map[string]any{"tenantType": "USER", "value": o.ID}, "role": "VIEWER"})
	me.call("POST", pools+"/"+id+"/shares", 400, map[string]any{"sharedWith": with, "role": "KING"})
	me.call("DELETE", share, 204, nil)
	team.call("GET", pools+"/"+id, 404, nil)
}

// TestAudited has each change, and each grant, in the audit log.
func TestAudited(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	app, err := p.CreateApplication(t.Context(), p.owner, "app")
	p.must(err)
	id := me.pool("models")
	file := me.put(id, "a", "x", 201)["id"].(string)
	me.call("POST", pools+"/"+id+"/grants", 201, map[string]any{"applicationId": app.ID, "permission": "VIEW"})
	upload := me.call("POST", pools+"/"+id+"/uploads", 201, map[string]any{"fullPath": "b", "size": 2})["id"].(string)
	for _, piece := range []string{"bytes 0-0/2", "bytes 1-1/2"} { // the first changes nothing that shows
		if status, _, answer := me.do("PUT", pools+"/"+id+"/uploads/"+upload, []byte("x"), "Content-Range", piece); status != 200 {
			t.Errorf("PUT %s = %d %s", piece, status, answer)
		}
	}
	me.call("GET", pools+"/"+id+"/files", 200, nil)
	me.call("DELETE", pools+"/"+id+"/files/"+file, 204, nil)
	me.call("DELETE", pools+"/"+id, 204, nil)
	links, err := p.audit.Links(t.Context(), p.owner.Tenant, 0, 100)
	p.must(err)
	actions := []string{}
	for _, link := range links {
		e, err := link.Read()
		p.must(err)
		actions = append(actions, e.Action+" "+e.Details["file"]+e.Details["permission"]+e.Details["name"])
		if strings.Contains(string(link.Entry), "eyJ") {
			t.Errorf("an entry holds a grant: %s", link.Entry)
		}
	}
	want := []string{
		"createDataPool models", "addDataPoolFile a", "createDataPoolGrant VIEW", "beginDataPoolUpload b", "continueDataPoolUpload b",
		"deleteDataPoolFile a", "deleteDataPool models",
	}
	if !slices.Equal(actions, want) {
		t.Errorf("the audit log has %q, want %q", actions, want)
	}
}

// TestEveryRouteAsksForItsRight walks all routes as callers that may not use them, and as
// one that may.
func TestEveryRouteAsksForItsRight(t *testing.T) {
	t.Parallel()
	p := serve(t)
	ctx := t.Context()
	o, err := p.CreateOrganization(ctx, p.owner, "Team", "")
	p.must(err)
	team := p.as(p.token, o.ID)
	join := func(name string, role access.Role) string {
		_, invitation, err := p.Invite(ctx, p.owner, o.ID, "", role)
		p.must(err)
		_, _, value, err := p.Redeem(ctx, invitation, name, "", "127.0.0.1:1")
		p.must(err)
		return string(value.Reveal())
	}
	tokenOf := func(scopes []access.Scope, expires time.Time) string {
		_, value, err := p.CreateToken(ctx, p.owner, "token", scopes, expires)
		p.must(err)
		return string(value.Reveal())
	}
	viewer, maintainer, stranger := join("viewer", access.Viewer), join("maintainer", access.Maintainer), join("stranger", access.Viewer)
	owner, err := p.Authenticate(authenticated(ctx, p.token, o.ID))
	p.must(err)
	app, err := p.CreateApplication(ctx, owner, "app")
	p.must(err)
	keys, err := p.AccessKeys(ctx, owner, app.ID)
	p.must(err)
	id, other := team.pool("models"), team.pool("other")
	execution := map[datapool.Permission]string{}
	for _, permission := range []datapool.Permission{datapool.View, datapool.Modify, datapool.Grant, ""} {
		run := "run-" + string(permission)
		wants := map[string]datapool.Want{"pool": {Pool: id, Permission: permission}}
		if permission == "" {
			wants["pool"] = datapool.Want{Pool: other, Permission: datapool.Grant}
		}
		mounted, err := p.pools.Mount(ctx, run, wants)
		p.must(err)
		t.Cleanup(mounted.Close)
		token, err := p.ExecutionToken(run, o.ID, app.ID)
		p.must(err)
		execution[permission] = string(token.Reveal())
	}
	ended, err := p.ExecutionToken("over", o.ID, app.ID)
	p.must(err)
	expired, revoked, readOnly := tokenOf(nil, time.Now().Add(time.Hour)), tokenOf(nil, time.Time{}), tokenOf([]access.Scope{access.ScopeRead}, time.Time{})
	rp, err := p.Authenticate(authenticated(ctx, revoked, ""))
	p.must(err)
	p.must(p.DeleteToken(ctx, p.owner, rp.Credential))
	p.advance.Store(int64(61 * time.Minute))
	application, err := p.IssueToken(ctx, keys[0].ID, keys[0].Secret, "127.0.0.1:1")
	p.must(err)
	granted := map[access.Role]access.Right{access.Viewer: access.ReadPools, access.Maintainer: access.WritePools, access.Owner: access.SharePools}
	least := func(right access.Right) access.Role {
		for role, r := range granted {
			if r == right {
				return role
			}
		}
		t.Fatalf("a route asks for %s", right)
		return ""
	}
	for _, route := range p.routes {
		// Each walk has what the route is about.
		file := team.put(id, "walk", "content", 201)["id"].(string)
		upload := team.call("POST", pools+"/"+id+"/uploads", 201, map[string]any{"fullPath": "up", "size": 3})["id"].(string)
		share := team.call("POST", pools+"/"+id+"/shares", 201, map[string]any{"sharedWith": map[string]any{"tenantType": "USER", "value": p.owner.ID}, "role": "VIEWER"})["id"].(string)
		address := strings.NewReplacer("{id}", id, "{fileId}", file, "{uploadId}", upload, "{shareId}", share, "{constraintId}", share).Replace(route.Path)
		body, headers := p.request(route.ID, app.ID)
		what := route.Method + " " + route.Path
		if strings.Contains(address, "{") {
			t.Errorf("%s: the test has no value for an argument", what)
			continue
		}
		role := least(route.Right)
		has := strings.Contains(route.Path, "{id}")
		writes := role != access.Viewer
		try := func(name, token, organization string, when bool, want ...int) {
			t.Helper()
			if !when {
				return
			}
			p.advance.Add(int64(2 * time.Second)) // an address may fail once a second
			status, _, answer := p.as(token, organization).do(route.Method, address, body, headers...)
			if !slices.Contains(want, status) {
				t.Errorf("%s with %s = %d %s, want %v", what, name, status, answer, want)
			}
		}
		try("no token", "", "", true, 401)
		try("a bad token", "qhp_AAAAAA_"+strings.Repeat("A", 43), "", true, 401)
		try("an expired token", expired, o.ID, true, 401)
		try("a revoked token", revoked, o.ID, true, 401)
		try("the token of an execution that has ended", string(ended.Reveal()), "", true, 401)
		try("a token of no member", stranger, p.owner.ID, true, 403)
		try("another tenant", stranger, "", has, 404)
		try("the token of an application", string(application.Reveal()), "", true, 403)
		try("an execution with another pool", execution[""], "", has, 404)
		try("an execution that may view", execution[datapool.View], "", writes, 403)
		try("a VIEWER", viewer, o.ID, writes, 403)
		try("a token that reads only", readOnly, o.ID, writes, 403)
		try("a MAINTAINER", maintainer, o.ID, role == access.Owner, 403)
		try("an execution that may modify", execution[datapool.Modify], "", role == access.Owner || route.ID == "createDataPool", 403)
		try("an execution that may grant", execution[datapool.Grant], "", role == access.Owner, 403)
		if route.ID == "createDataPoolGrant" {
			try("an execution that may modify", execution[datapool.Modify], "", true, 403)
			try("an execution that may grant", execution[datapool.Grant], "", true, 201)
			try("a VIEWER that wants MODIFY", viewer, o.ID, true, 403)
			continue
		}
		if route.ID == "deleteDataPool" {
			continue // after all others
		}
		try("the right token", map[access.Role]string{access.Viewer: viewer, access.Maintainer: maintainer, access.Owner: p.token}[role], o.ID, true, 200, 201, 202, 204)
		if route.ID == "createDataPool" {
			continue
		}
		team.put(id, "walk", "content", 201)
	}
	if got := team.call("GET", pools+"/"+id, 200, nil); got["name"] == "" {
		t.Errorf("after all that was refused, the pool is %v", got)
	}
	team.call("DELETE", pools+"/"+id, 204, nil)
}

// request is a body that fits a route, and its headers.
func (p *platform) request(route, app string) ([]byte, []string) {
	p.Helper()
	switch route {
	case "addDataPoolFile":
		body, kind := p.form("added", "content")
		return body, []string{"Content-Type", kind}
	case "continueDataPoolUpload":
		return []byte("abc"), []string{"Content-Range", "bytes 0-2/3"}
	}
	text, err := json.Marshal(map[string]any{
		"name": "by " + route, "applicationId": app, "permission": "MODIFY", "fullPath": "begun", "size": 3, "role": "VIEWER",
		"sharedWith": map[string]any{"tenantType": "USER", "value": p.owner.ID}, "type": "TIME_BASED", "validUntil": "2999-01-01",
	})
	p.must(err)
	return text, []string{"Content-Type", "application/json"}
}
