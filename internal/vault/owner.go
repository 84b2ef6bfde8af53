package vault

import (
	"encoding/binary"
	"strings"
)

// An Owner names what a [Sealed] belongs to: a kind of things, and one of them,
// such as execution/ID or secret/TENANT/NAME. Secrets that are sealed for one
// owner open for no other, of the same kind or another. The zero value owns
// nothing.
type Owner struct {
	kind string
	// path is what tells owners of a kind apart, part by part.
	path [2]string
}

// The kinds of owners. They are part of the associated data: a new kind gets a
// new word, and no word changes its meaning.
const (
	kindExecution = "execution"
	kindSecret    = "secret"
	kindAccess    = "access-key"
	kindSigning   = "signing-key"
	kindStored    = "stored-secret-" // and the kind of its place
	kindConsole   = "console"
)

// ExecutionOwner owns the secrets of one execution.
func ExecutionOwner(id string) Owner { return Owner{kindExecution, [2]string{id}} }

// SecretOwner owns a stored secret of a tenant.
func SecretOwner(tenant, name string) Owner { return Owner{kindSecret, [2]string{tenant, name}} }

// AccessKeyOwner owns the secret of an access key.
func AccessKeyOwner(id string) Owner { return Owner{kindAccess, [2]string{id}} }

// SigningKeyOwner owns the private key that signs tokens.
func SigningKeyOwner(id string) Owner { return Owner{kindSigning, [2]string{id}} }

// StoredSecretOwner owns one version of a stored secret. kind and place name what the
// secret belongs to, such as a service, and version the version.
func StoredSecretOwner(kind, place, version string) Owner {
	return Owner{kindStored + kind, [2]string{place, version}}
}

// ConsoleOwner owns what a browser keeps of a session with the console: a session, or the
// code that begins one.
func ConsoleOwner(form string) Owner { return Owner{kindConsole, [2]string{form}} }

// String shows the owner to a person.
func (o Owner) String() string {
	parts := []string{o.kind, o.path[0]}
	if o.path[1] != "" {
		parts = append(parts, o.path[1])
	}
	return strings.Join(parts, "/")
}

// bound is what binds a Sealed of a form to its owner. Form 1 knew executions
// only, and bound them by their bare id. In form 2 each part has its length before
// it, so that no two owners have the same bytes.
func (o Owner) bound(form byte) ([]byte, error) {
	switch {
	case o.kind == "" || form != form1 && form != form2, form == form1 && o.kind != kindExecution:
		return nil, ErrTampered
	case form == form1:
		return []byte(o.path[0]), nil
	}
	var bound []byte
	for _, part := range []string{o.kind, o.path[0], o.path[1]} {
		bound = binary.BigEndian.AppendUint32(bound, uint32(len(part)))
		bound = append(bound, part...)
	}
	return bound, nil
}
