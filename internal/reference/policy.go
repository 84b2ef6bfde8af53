package reference

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// tenantMark stands for the id of a tenant in a rule.
const tenantMark = "{tenant}"

// A Policy says which references may be used. The zero value allows none. It is safe for
// concurrent use.
type Policy struct {
	rules []rule
	dir   string
	hosts []string
}

// A rule allows the references of a scheme, whose paths begin with a prefix.
type rule struct{ scheme, prefix string }

// NewPolicy makes a policy. A rule is the name of a scheme, such as vault, or that and the
// begin of a path, such as vault://kv/{tenant}/, where {tenant} is the id of the account.
// dir is the folder with the files that references may name. hosts are addresses that
// references may name in addition to those in the settings of the clients.
func NewPolicy(rules []string, dir string, hosts []string) (*Policy, error) {
	p := &Policy{}
	for _, text := range rules {
		scheme, prefix, _ := strings.Cut(text, "://")
		if _, ok := parameters[scheme]; !ok {
			return nil, fmt.Errorf("there is no scheme %q for references; the schemes are %s", scheme, strings.Join(Schemes(), ", "))
		}
		if !allowed.MatchString(strings.ReplaceAll(prefix, tenantMark, "")) || strings.HasPrefix(prefix, "/") || strings.ContainsAny(prefix, "?#&") {
			return nil, fmt.Errorf("the rule for references %q must be SCHEME or SCHEME://PATH/", text)
		}
		if dir == "" && (scheme == File || scheme == Sops) {
			return nil, fmt.Errorf("references to files (%s) need the folder that has them", scheme)
		}
		p.rules = append(p.rules, rule{scheme, strings.TrimSuffix(prefix, "/")})
	}
	for _, host := range hosts {
		if host == "" || strings.ContainsAny(host, "/@ ") {
			return nil, fmt.Errorf("the host for references %q must be HOST or HOST:PORT", host)
		}
		p.hosts = append(p.hosts, strings.ToLower(host))
	}
	if dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("find the folder for references: %w", err)
		}
		p.dir = absolute
	}
	return p, nil
}

// A ForbiddenError says why a reference may not be used.
type ForbiddenError struct {
	Reference Reference
	Reason    string
	Advice    string
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("the reference %s may not be used: %s", e.Reference, e.Reason)
}

// Hint says how the operator allows it.
func (e *ForbiddenError) Hint() string { return e.Advice }

// ErrNoReferences says that a policy allows no references at all.
var ErrNoReferences = errors.New("references are not allowed on this server")

// Any reports whether the policy allows any reference.
func (p *Policy) Any() bool { return p != nil && len(p.rules) > 0 }

// Check returns an error unless a tenant may use a reference. It fetches nothing.
func (p *Policy) Check(tenant string, r Reference) error {
	if !p.Any() {
		return ErrNoReferences
	}
	relative := r.Path
	if r.Files() {
		var ok bool
		if relative, ok = r.Relative(p.dir); !ok {
			return &ForbiddenError{r, "the file is outside the folder for references", "name the file relative to that folder"}
		}
	}
	if !slices.ContainsFunc(p.rules, func(of rule) bool { return of.scheme == r.Scheme }) {
		return &ForbiddenError{r, "the scheme " + r.Scheme + " is not allowed", "the operator allows it with --reference-schemes"}
	}
	if !slices.ContainsFunc(p.rules, func(of rule) bool { return of.allows(tenant, r.Scheme, relative) }) {
		return &ForbiddenError{r, "the path is outside those that this account may use", "the operator allows paths with --reference-schemes"}
	}
	return p.checkHost(r)
}

// allows reports whether the rule is for a path.
func (r rule) allows(tenant, scheme, path string) bool {
	if r.scheme != scheme {
		return false
	}
	if r.prefix == "" {
		return true
	}
	if tenant == "" && strings.Contains(r.prefix, tenantMark) {
		return false
	}
	prefix := strings.ReplaceAll(r.prefix, tenantMark, tenant)
	return strings.HasPrefix(path, prefix+"/")
}

// checkHost refuses an address that the operator has not allowed: the client would send
// its token there.
func (p *Policy) checkHost(r Reference) error {
	host := r.host()
	if host == "" {
		return nil
	}
	if !slices.Contains(p.hosts, strings.ToLower(host)) {
		return &ForbiddenError{r, "it names an address", "leave the address out, or the operator allows it with --reference-hosts"}
	}
	if strings.HasPrefix(r.Parameters[address], "http://") && !loopback(host) {
		return &ForbiddenError{r, "its address is not encrypted", "use https"}
	}
	return nil
}

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
