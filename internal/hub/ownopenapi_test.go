package hub_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestUploadedDescription shows the description that an owner has uploaded.
func TestUploadedDescription(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	path := "/qc-catalog/services/" + s.id + "/openapi"
	put := func(content string, want int) {
		t.Helper()
		kind, body := multipartOf(t, []byte(content))
		if status, answer := p.send(p.owner, http.MethodPut, path, kind, body); status != want {
			t.Errorf("PUT %s with %.40q = %d %s, want %d", path, content, status, answer, want)
		}
	}
	shows := func(word string, want bool) {
		t.Helper()
		var text string
		if _, answer := p.send(p.owner, http.MethodGet, path, "", nil); json.Unmarshal(answer, &text) != nil || strings.Contains(text, word) != want {
			t.Errorf("GET %s = %.300s, want %q in it: %t", path, answer, word, want)
		}
	}
	shows("api_token", true)
	put("openapi: 3.0.0\ninfo: {title: Mine}\n", http.StatusNoContent)
	shows(`"Mine"`, true)
	shows("api_token", false)
	put(`{"openapi": "3.1.0", "info": {"title": "Ours"}}`, http.StatusNoContent)
	shows(`"Ours"`, true)
	for content, want := range map[string]int{
		"title: x": http.StatusBadRequest, "[1]": http.StatusBadRequest, "{": http.StatusBadRequest, "openapi: 3.0.0\nx: {1: a}\ny: {[1]: 2}": http.StatusBadRequest,
		strings.Repeat("#", 257<<10): http.StatusRequestEntityTooLarge,
	} {
		put(content, want)
	}
	shows(`"Ours"`, true)
	put("", http.StatusNoContent)
	shows("api_token", true)
}
