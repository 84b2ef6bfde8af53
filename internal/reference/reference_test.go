package reference_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/reference"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]reference.Reference{
		"ref+vault://kv/shop/db#/password":                       {Scheme: "vault", Path: "kv/shop/db", Key: "password"},
		"ref+vault://kv/db/password":                             {Scheme: "vault", Path: "kv/db/password"},
		"ref+awssecrets://prod/db?region=eu-central-1#/a/b":      {Scheme: "awssecrets", Path: "prod/db", Key: "a/b"},
		"ref+awssecrets://arn:aws:secretsmanager:x:1:secret:n-1": {Scheme: "awssecrets", Path: "arn:aws:secretsmanager:x:1:secret:n-1"},
		"ref+gcpsecrets://project/name?version=3":                {Scheme: "gcpsecrets", Path: "project/name"},
		"ref+azurekeyvault://vault/name/version":                 {Scheme: "azurekeyvault", Path: "vault/name/version"},
		"ref+file://a/b.yaml#/c":                                 {Scheme: "file", Path: "a/b.yaml", Key: "c"},
		"ref+file:///a/b":                                        {Scheme: "file", Path: "/a/b"},
		"ref+sops://a.json?format=json":                          {Scheme: "sops", Path: "a.json"},
	} {
		got, err := reference.Parse(text)
		if err != nil || got.Scheme != want.Scheme || got.Path != want.Path || got.Key != want.Key || got.String() != text {
			t.Errorf("Parse(%s) = %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// TestParseRefuses: all that vals would understand in another way, or that names an
// address, an identity or a program.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const canary = "canary-4711"
	for _, text := range []string{
		canary, "ref+", "ref+" + canary, "secretref+vault://a/" + canary, "ref+vault:/a/" + canary,
		"ref+exec://sh/" + canary, "ref+envsubst://$" + canary, "ref+echo://" + canary, "ref+s3://a/" + canary, "ref+httpjson://a/" + canary, "ref+VAULT://a/" + canary,
		"ref+k8s://v1/Secret/" + canary, "ref+tfstate://a/" + canary, "ref+literal://" + canary,
		"ref+vault://" + canary, "ref+vault://a//" + canary, "ref+vault:///a/" + canary, "ref+vault://a/../" + canary, "ref+vault://a/./" + canary, "ref+vault://a/" + canary + "/..",
		"ref+vault://a/%2e%2e/" + canary, "ref+vault://a/b ref+exec://sh/" + canary, "ref+vault://ref+exec://sh/" + canary, "ref+vault://a/" + canary + "+", "ref+vault://a/b,\n" + canary,
		"ref+vault://a/b?token_env=" + canary, "ref+vault://a/b?token_file=/" + canary, "ref+vault://a/b?auth_method=" + canary, "ref+vault://a/b?host=" + canary, "ref+vault://a/b?proto=" + canary,
		"ref+vault://a/b?namespace=" + canary, "ref+vault://a/b?version=1&version=" + canary, "ref+vault://a/b?version=" + canary, "ref+vault://a/b?address=" + canary, "ref+vault://a/b?address=https://u@" + canary,
		"ref+vault://u@" + canary + "/b", "ref+vault://h:80/" + canary, "ref+vault://a/b#" + canary, "ref+vault://a/b#//" + canary, "ref+vault://a/b#/a#/" + canary,
		"ref+awssecrets://a?region=" + canary, "ref+awssecrets://a?region=eu-west-1.evil.example", "ref+awssecrets://a?profile=" + canary, "ref+awssecrets://a?role_arn=" + canary, "ref+awssecrets://x:" + canary,
		"ref+gcpsecrets://" + canary, "ref+gcpsecrets://a/b?fallback_value=" + canary, "ref+gcpsecrets://a/b?optional=true", "ref+azurekeyvault://" + canary, "ref+azurekeyvault://a@b/" + canary, "ref+azurekeyvault://a:80/" + canary, "ref+azurekeyvault://a./" + canary,
		"ref+file://../" + canary, "ref+file:////" + canary, "ref+file://a?encode=" + canary, "ref+sops://a?key_type=base64&x=" + canary, "ref+sops://a/../" + canary, "ref+file://a\\..\\" + canary,
		"ref+file://a\x00" + canary, "ref+file://ä" + canary, "ref+file://" + strings.Repeat("a", 1024) + canary,
	} {
		got, err := reference.Parse(text)
		if syntax, ok := errors.AsType[*reference.SyntaxError](err); !ok {
			t.Errorf("Parse(%q) = %+v, %v, want a SyntaxError", text, got, err)
		} else if strings.Contains(err.Error()+syntax.Hint(), canary) {
			t.Errorf("Parse(%q) repeats the text in its error: %v, want no part of it", text, err)
		}
	}
}

func TestLiteral(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"ref+literal://": "", "ref+literal://ref+vault://a/b": "ref+vault://a/b", "ref+literal://ref+literal://x": "ref+literal://x"} {
		if got, ok := reference.Literal([]byte(text)); !ok || string(got) != want {
			t.Errorf("Literal(%s) = %q, %v, want %q, true", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "ref+literal:/", "ref+vault://a/b", "x"} {
		if got, ok := reference.Literal([]byte(text)); ok {
			t.Errorf("Literal(%s) = %q, true, want false", text, got)
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	const own, other = "11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000"
	for _, c := range []struct {
		rules, hosts []string
		text         string
		want         bool
	}{
		{nil, nil, "ref+vault://kv/db#/p", false},
		{[]string{"awssecrets"}, nil, "ref+vault://kv/db#/p", false},
		{[]string{"vault"}, nil, "ref+vault://kv/db#/p", true},
		{[]string{"vault://kv/shop/"}, nil, "ref+vault://kv/shop/db#/p", true},
		{[]string{"vault://kv/shop"}, nil, "ref+vault://kv/shopping/db#/p", false},
		{[]string{"vault://kv/shop"}, nil, "ref+vault://kv/other#/shop", false},
		{[]string{"vault://kv/{tenant}/"}, nil, "ref+vault://kv/" + own + "/db#/p", true},
		{[]string{"vault://kv/{tenant}/"}, nil, "ref+vault://kv/" + other + "/db#/p", false},
		{[]string{"vault://kv/{tenant}/"}, nil, "ref+vault://kv/" + own + "#/p", false},
		{[]string{"vault"}, nil, "ref+vault://kv/db?address=https://evil.example#/p", false},
		{[]string{"vault"}, []string{"vault.example:8200"}, "ref+vault://kv/db?address=https://vault.example:8200#/p", true},
		{[]string{"vault"}, []string{"vault.example:8200"}, "ref+vault://kv/db?address=http://vault.example:8200#/p", false},
		{[]string{"vault"}, []string{"vault.example:8200"}, "ref+vault://kv/db?address=https://vault.example:8201#/p", false},
		{[]string{"vault"}, []string{"127.0.0.1:8200"}, "ref+vault://kv/db?address=http://127.0.0.1:8200#/p", true},
		{[]string{"azurekeyvault"}, nil, "ref+azurekeyvault://shop/db", true},
		{[]string{"azurekeyvault"}, nil, "ref+azurekeyvault://evil.example/db", false},
		{[]string{"azurekeyvault"}, []string{"shop.vault.azure.cn"}, "ref+azurekeyvault://shop.vault.azure.cn/db", true},
		{[]string{"file"}, nil, "ref+file://a/b", true},
		{[]string{"file"}, nil, "ref+file:///srv/secrets/a/b", true},
		{[]string{"file"}, nil, "ref+file:///srv/secrets2/b", false},
		{[]string{"file"}, nil, "ref+file:///etc/passwd", false},
		{[]string{"file://{tenant}/"}, nil, "ref+file:///srv/secrets/" + own + "/b", true},
		{[]string{"file://{tenant}/"}, nil, "ref+file:///srv/secrets/" + other + "/b", false},
		{[]string{"file"}, nil, "ref+sops://a/b.yaml", false},
	} {
		policy, err := reference.NewPolicy(c.rules, "/srv/secrets", c.hosts)
		if err != nil {
			t.Fatalf("NewPolicy(%v, %v) = %v, want nil", c.rules, c.hosts, err)
		}
		parsed, err := reference.Parse(c.text)
		if err != nil {
			t.Fatalf("Parse(%s) = %v, want nil", c.text, err)
		}
		if err := policy.Check(own, parsed); (err == nil) != c.want {
			t.Errorf("Check(%s) by %v = %v, want allowed %v", c.text, c.rules, err, c.want)
		}
	}
}

func TestPolicyWithoutTenant(t *testing.T) {
	t.Parallel()
	policy, err := reference.NewPolicy([]string{"vault://{tenant}/"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := reference.Parse("ref+vault://a/b#/c")
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.Check("", parsed); err == nil {
		t.Error("Check(no tenant) = nil, want an error: the rule is for tenants")
	}
}

func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"", "exec", "envsubst", "vault://../x y", "vault:///x", "file", "sops://a"} {
		if _, err := reference.NewPolicy([]string{rule}, "", nil); err == nil {
			t.Errorf("NewPolicy(%q, no folder) = nil, want an error", rule)
		}
	}
	if _, err := reference.NewPolicy(nil, "", []string{"https://vault.example"}); err == nil {
		t.Error("NewPolicy(host with a scheme) = nil, want an error")
	}
}
