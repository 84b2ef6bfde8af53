// Package reference fetches secrets that other programs keep: HashiCorp Vault, the secret
// managers of AWS, Google and Azure, and files, also those that sops has encrypted.
//
//	ref+vault://kv/shop/database#/password
//	ref+awssecrets://prod/database?region=eu-central-1#/password
//	ref+gcpsecrets://PROJECT/NAME
//	ref+azurekeyvault://VAULT/NAME
//	ref+file://shop/token
//	ref+sops://shop/secrets.yaml#/database/password
//
// A [Reference] is such a text. It names a secret, and is no secret. A [Policy] says
// which references may be used. A [Resolver] fetches values by the program qhubctl-refs,
// which has the clients of these stores: they would make this program three times as
// large.
package reference

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Prefix is how a reference begins.
const Prefix = "ref+"

// literal is the scheme of a text that begins like a reference and is none.
const literal = Prefix + "literal://"

// maxLength is the length of a reference in bytes.
const maxLength = 1024

// The schemes.
const (
	Vault = "vault"
	AWS   = "awssecrets"
	GCP   = "gcpsecrets"
	Azure = "azurekeyvault"
	File  = "file"
	Sops  = "sops"
)

// parameters are those of each scheme, with the values that they take. All others could
// name an address, an identity or a program.
var parameters = map[string]map[string]*regexp.Regexp{
	Vault: {"version": numbers, "decode": regexp.MustCompile(`^(raw|base64)$`), address: regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]+)?$`)},
	AWS: {
		"region":        regexp.MustCompile(`^[a-z]{2,3}(-[a-z]+)+-[0-9]+$`),
		"version_stage": regexp.MustCompile(`^[A-Za-z0-9_.=@/-]+$`), "version_id": regexp.MustCompile(`^[A-Za-z0-9-]+$`),
	},
	GCP:   {"version": regexp.MustCompile(`^([0-9]+|latest)$`), "trim_nl": regexp.MustCompile(`^(true|false)$`)},
	Azure: {},
	File:  {},
	Sops:  {"format": regexp.MustCompile(`^(yaml|json|dotenv|ini|binary)$`)},
}

var numbers = regexp.MustCompile(`^[0-9]+$`)

// address is the parameter with the address of a Vault.
const address = "address"

// Schemes are the names of all schemes, sorted.
func Schemes() []string { return slices.Sorted(maps.Keys(parameters)) }

// allowed are the characters of a reference after its prefix. Others have a meaning for
// some reader: "%" and "+" above all.
var allowed = regexp.MustCompile(`^[A-Za-z0-9_./:@=~?&#-]*$`)

// vaultName is the name of a key vault of Azure, and hostName an address of one.
var (
	vaultName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	hostName  = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)
)

// A Reference names a secret that another program keeps. It holds no secret.
type Reference struct {
	text string
	// Scheme is the kind of the store.
	Scheme string
	// Path is the name of the secret there.
	Path string
	// Parameters follow the path.
	Parameters map[string]string
	// Key is the path of a text in a document, without the first slash; empty: the
	// secret as a whole.
	Key string
}

func (r Reference) String() string { return r.text }

// Is reports whether a text begins like a reference.
func Is(text []byte) bool {
	return strings.HasPrefix(string(text[:min(len(text), len(Prefix))]), Prefix)
}

// Literal returns the text that an escape stands for: ref+literal://TEXT is TEXT.
func Literal(text []byte) (literally []byte, ok bool) {
	if len(text) < len(literal) || string(text[:len(literal)]) != literal {
		return nil, false
	}
	return text[len(literal):], true
}

// A SyntaxError says why a text is not a reference. It does not
// repeat the text, which may be a secret by mistake.
type SyntaxError struct{ Reason string }

func (e *SyntaxError) Error() string { return "the reference is not valid: " + e.Reason }

// Hint shows the form.
func (e *SyntaxError) Hint() string {
	return "a reference is ref+SCHEME://PATH#/KEY, such as ref+vault://kv/shop/database#/password; the schemes are " + strings.Join(Schemes(), ", ")
}

func wrong(format string, args ...any) error { return &SyntaxError{fmt.Sprintf(format, args...)} }

// Parse reads a reference.
func Parse(text string) (Reference, error) {
	rest, ok := strings.CutPrefix(text, Prefix)
	switch {
	case !ok:
		return Reference{}, wrong("it must begin with %s", Prefix)
	case len(text) > maxLength:
		return Reference{}, wrong("it is longer than %d bytes", maxLength)
	case !allowed.MatchString(rest):
		return Reference{}, wrong("it may have letters, digits and _./:@=~?&#- only")
	}
	r := Reference{text: text}
	if r.Scheme, rest, ok = strings.Cut(rest, "://"); !ok {
		return Reference{}, wrong("it must have a scheme, such as %svault://", Prefix)
	}
	takes, ok := parameters[r.Scheme]
	if !ok {
		return Reference{}, wrong("it has an unknown scheme")
	}
	rest, key, keyed := strings.Cut(rest, "#")
	rest, query, queried := strings.Cut(rest, "?")
	r.Path = rest
	if err := r.checkPath(); err != nil {
		return Reference{}, err
	}
	if keyed {
		r.Key, ok = strings.CutPrefix(key, "/")
		if !ok || slices.Contains(strings.Split(r.Key, "/"), "") || strings.ContainsAny(r.Key, "#?&") {
			return Reference{}, wrong("the part after # must be a path of keys, such as #/password")
		}
	}
	if queried {
		var err error
		r.Parameters, err = r.readParameters(query, takes)
		return r, err
	}
	return r, nil
}

// checkPath checks the name of the secret.
func (r Reference) checkPath() error {
	relative := r.Path
	if r.Files() {
		relative = strings.TrimPrefix(relative, "/")
	}
	segments := strings.Split(relative, "/")
	first := segments[0]
	switch {
	case slices.Contains(segments, "") || slices.Contains(segments, ".") || slices.Contains(segments, ".."):
		return wrong("its path may have no empty part, no . and no ..")
	case strings.ContainsAny(r.Path, "&"), strings.Contains(first, "@"):
		return wrong("its path has a character that addresses give a meaning to")
	case strings.Contains(r.Path, ":") && (r.Scheme != AWS || !strings.HasPrefix(r.Path, "arn:aws")):
		return wrong("its path may have a colon in an ARN only")
	case r.Scheme == Azure && !vaultName.MatchString(first) && !hostName.MatchString(first):
		return wrong("its path must begin with the name of a key vault")
	case r.Scheme == Azure && (len(segments) < 2 || len(segments) > 3):
		return wrong("its path must be VAULT/NAME or VAULT/NAME/VERSION")
	case r.Scheme == GCP && len(segments) != 2:
		return wrong("its path must be PROJECT/NAME")
	case r.Scheme == Vault && len(segments) < 2:
		return wrong("its path must be MOUNT/NAME")
	}
	return nil
}

// readParameters reads what follows the question mark.
func (r Reference) readParameters(query string, takes map[string]*regexp.Regexp) (map[string]string, error) {
	read := map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		form, ok := takes[name]
		if _, twice := read[name]; twice {
			return nil, wrong("it has a parameter twice")
		}
		if !ok {
			return nil, wrong("%s takes no such parameter; it takes: %s", r.Scheme, strings.Join(slices.Sorted(maps.Keys(takes)), ", "))
		}
		if !form.MatchString(value) {
			return nil, wrong("the parameter %s has a value that it does not take", name)
		}
		read[name] = value
	}
	return read, nil
}

// Files reports whether the secret is in a file of this machine.
func (r Reference) Files() bool { return r.Scheme == File || r.Scheme == Sops }

// host is the address that the reference names; empty if the operator's settings do.
func (r Reference) host() string {
	if r.Scheme == Azure {
		if first, _, _ := strings.Cut(r.Path, "/"); strings.Contains(first, ".") {
			return first
		}
	}
	_, host, _ := strings.Cut(r.Parameters[address], "://")
	return host
}

// Relative is the path of a file below a folder, with slashes. ok: it is there. It does
// not resolve links.
func (r Reference) Relative(dir string) (relative string, ok bool) {
	if !strings.HasPrefix(r.Path, "/") {
		return r.Path, true
	}
	relative, ok = strings.CutPrefix(r.Path, strings.TrimSuffix(path.Clean(dir), "/")+"/")
	return relative, ok
}
