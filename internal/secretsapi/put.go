package secretsapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/secretstore"
)

// put adds a version to a secret.
func (r routes) put(ctx context.Context, in *ByName, w http.ResponseWriter, q *http.Request, add func(context.Context, access.Principal, secretstore.Address, string, secretstore.Value) (secretstore.Secret, error)) error {
	var b body
	err := readJSON(w, q, &b)
	defer clear(b.Value)
	if err != nil {
		return err
	}
	if (b.Value == nil) == (b.Reference == "") {
		return platformapi.NewProblem(http.StatusBadRequest, "Send the member value, or the member reference in its place.")
	}
	v, err := b.read()
	if err != nil {
		return err
	}
	v.Secret, v.Reference = plaintext.New(b.Value), b.Reference
	weak := ""
	if b.Reference == "" {
		weak = plaintext.Weak(b.Value)
	}
	s, err := add(ctx, access.From(ctx), in.address(), in.Name, v)
	if err != nil {
		return err
	}
	view := r.view(s)
	if weak != "" {
		view.Warnings = append(view.Warnings, "The value "+weak+": it is easy to guess, and may stand in logs by chance, where it is masked.")
	}
	if r.unused(ctx, in) {
		view.Warnings = append(view.Warnings, "No parameter of the service has the name "+in.Name+", so no execution gets the secret.")
	}
	return platformapi.WriteJSON(w, http.StatusOK, view)
}

// unused reports whether no parameter of a service takes a secret. A service that was never
// built has no parameters to compare with.
func (r routes) unused(ctx context.Context, in *ByName) bool {
	if in.Service == "" {
		return false
	}
	findings, err := r.Check(ctx, access.From(ctx), in.address(), 0)
	return err == nil && slices.ContainsFunc(findings, func(f secretstore.Finding) bool { return f.Name == in.Name && f.Status == secretstore.StatusUnused })
}

// readJSON reads a body with values.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	err := platformapi.ReadJSON(w, r, into)
	if errors.Is(err, errNoText) {
		return errNoText
	}
	return err
}
