// Package secretsapi has the routes of the platform API about stored secrets. No answer
// has a value.
package secretsapi

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/secretstore"
)

const (
	base = "/qc-catalog/secrets"
	tag  = "Secrets"
)

type routes struct{ *secretstore.Service }

// Register adds all routes to an API.
func Register(api *platformapi.API, s *secretstore.Service) {
	platformapi.Alias[value, string](api)
	r := routes{s}
	r.reads(api)
	r.changes(api)
	r.bindings(api)
	r.rotations(api)
}

// none is the answer of a route that gives nothing.
type none struct{}

// Of names what secrets belong to, in the address.
type Of struct {
	Service     string `query:"serviceId" maxLength:"64" doc:"The id of a service. Absent: the secret is of the account."`
	Application string `query:"applicationId" maxLength:"64" doc:"The id of an application that is subscribed to the service: the secret is of the subscription."`
}

func (o Of) address() secretstore.Address {
	return secretstore.Address{Service: o.Service, Application: o.Application}
}

// ByName names a secret in the address.
type ByName struct {
	Name string `path:"name" maxLength:"512" doc:"The name of the parameter that gets the secret, or of a secret of the account."`
	Of
}

// A value is that of a secret in a request.
type value []byte

var errNoText = platformapi.NewProblem(http.StatusBadRequest, "The value of a secret must be a text.")

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (v *value) UnmarshalJSON(raw []byte) error {
	text, err := jsontext.AppendUnquote(make([]byte, 0, len(raw)), raw)
	if err != nil || len(raw) == 0 || raw[0] != '"' {
		clear(text)
		return errNoText
	}
	*v = text
	return nil
}

// terms are those of a new version.
type terms struct {
	ExpiresAt string               `json:"expiresAt" required:"false" doc:"When the value expires: yyyy-MM-dd HH:mm:ss in UTC, a date, or a time as RFC 3339 has it. Absent: it does not."`
	Keep      string               `json:"keep" required:"false" doc:"How long the version before is kept, such as 24h. Absent: it is destroyed once no execution needs it."`
	Override  secretstore.Override `json:"override" required:"false" enum:"NONE,OWN,ANY" doc:"Which callers may replace the secret in a request: none, those of the account of the secret, or all. Absent: as before, or OWN."`
}

// body is a value with its terms.
type body struct {
	Value     value  `json:"value" required:"false" doc:"The value. No answer repeats it."`
	Reference string `json:"reference" required:"false" maxLength:"1024" doc:"In place of a value: where another store has it, such as ref+vault://kv/shop/database#/password. The server fetches the value when an execution starts, if its operator allows that."`
	terms
}

// importBody has several values.
type importBody struct {
	Secrets map[string]value `json:"secrets" doc:"The values by the names of the secrets."`
	terms
}

// read makes terms without a value.
func (t terms) read() (v secretstore.Value, err error) {
	if v.ExpiresAt, err = moment(t.ExpiresAt); err != nil {
		return v, err
	}
	if t.Keep != "" {
		if v.Keep, err = time.ParseDuration(t.Keep); err != nil {
			return v, platformapi.NewProblem(http.StatusBadRequest, "keep must be a duration such as 24h.")
		}
	}
	v.Override = t.Override
	return v, nil
}

// moment reads a time; the zero time of an empty text.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateTime, time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, platformapi.NewProblem(http.StatusBadRequest, "A time must be such as 2030-12-31 23:59:59.")
}

// text is a time as the published clients read it; null of none.
func text(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.DateTime)
	return &s
}

type bindingView struct {
	Service   string `json:"serviceId"`
	Parameter string `json:"parameter"`
}

type versionView struct {
	Version     int               `json:"version"`
	State       secretstore.State `json:"state" enum:"LIVE,EXPIRED,REPLACED,DESTROYED" doc:"New executions get the newest version that is LIVE. Executions that wait or run keep theirs."`
	SetAt       *string           `json:"setAt"`
	SetBy       string            `json:"setBy" doc:"The id of the user that has set it."`
	ExpiresAt   *string           `json:"expiresAt"`
	KeptUntil   *string           `json:"keptUntil" doc:"When it stops to count: a newer version has replaced it."`
	DestroyedAt *string           `json:"destroyedAt"`
	UsedAt      *string           `json:"usedAt"`
	UsedBy      string            `json:"usedBy" doc:"The execution that has used it last."`
	Reference   string            `json:"reference,omitempty" doc:"Where another store has the value. Absent: the value is stored here."`
}

type secretView struct {
	Name        string               `json:"name"`
	Kind        secretstore.Kind     `json:"kind" enum:"SERVICE,SUBSCRIPTION,TENANT,ENVIRONMENT,PROVIDER" doc:"What it belongs to. ENVIRONMENT: a variable in the runtime configuration of a service. PROVIDER: a token for a provider of quantum computers. Their own routes change these two."`
	Service     string               `json:"serviceId"`
	Definition  string               `json:"serviceDefinitionId,omitempty" doc:"The version of the service whose runtime configuration has it."`
	Application string               `json:"applicationId"`
	Override    secretstore.Override `json:"override" enum:"NONE,OWN,ANY"`
	CreatedAt   *string              `json:"createdAt"`
	Version     int                  `json:"version" doc:"The version that new executions get; 0: none."`
	Newest      versionView          `json:"newest" doc:"The version that was set last."`
	UsedAt      *string              `json:"usedAt" doc:"When an execution has last used it."`
	Bindings    []bindingView        `json:"bindings" doc:"The parameters that get a secret of the account."`
	Versions    []versionView        `json:"versions,omitempty" doc:"The newest first. Absent in lists."`
	Rotation    *rotationView        `json:"rotation,omitempty" doc:"Where new values come from. Absent in lists."`
	Warnings    []string             `json:"warnings,omitempty" doc:"Doubts about a new version, in words. Present after a change only."`
}

func (r routes) version(v secretstore.Version) versionView {
	return versionView{
		Version: v.Number, State: v.State(r.Now()), SetAt: text(v.SetAt), SetBy: v.SetBy, ExpiresAt: text(v.ExpiresAt), KeptUntil: text(v.KeptUntil),
		DestroyedAt: text(v.DestroyedAt), UsedAt: text(v.UsedAt), UsedBy: v.UsedBy, Reference: v.Reference,
	}
}

func (r routes) view(s secretstore.Secret, versions ...secretstore.Version) secretView {
	view := secretView{
		Name: s.Name, Kind: s.Kind, Service: s.Service, Application: s.Application, Override: s.Override, CreatedAt: text(s.CreatedAt),
		Version: s.Live, Newest: r.version(s.Newest), UsedAt: text(s.UsedAt), Bindings: []bindingView{},
	}
	if s.Kind == secretstore.OfEnvironment {
		view.Definition = s.Holder
	}
	for _, b := range s.Bindings {
		view.Bindings = append(view.Bindings, bindingView(b))
	}
	for _, v := range versions {
		view.Versions = append(view.Versions, r.version(v))
	}
	return view
}

func (r routes) reads(api *platformapi.API) {
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: base, ID: "getSecrets", Tag: tag, Right: access.ViewSecrets,
		Summary: "List the stored secrets of the account, without values",
	}, r.list)

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: base + "/{name}", ID: "getSecret", Tag: tag, Right: access.ViewSecrets,
		Summary: "Read a stored secret with its versions, without values",
	}, func(ctx context.Context, in *ByName) (*platformapi.Body[secretView], error) {
		s, versions, err := r.Get(ctx, access.From(ctx), in.address(), in.Name)
		if err != nil {
			return nil, err
		}
		view := r.view(s, versions...)
		if view.Rotation, err = r.rotation(ctx, in); err != nil {
			return nil, err
		}
		return &platformapi.Body[secretView]{Body: view}, nil
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: base + "-check", ID: "checkSecrets", Tag: tag, Right: access.ViewSecrets, Errors: []int{http.StatusConflict},
		Summary:     "Compare what a service takes with the stored secrets",
		Description: "Without a service: the secrets of the account that have expired, will expire, or serve no parameter: at most 1,000 of each.",
	}, r.check)
}

func (r routes) list(ctx context.Context, in *struct {
	Of
	Kind secretstore.Kind `query:"kind" enum:"SERVICE,SUBSCRIPTION,TENANT,ENVIRONMENT,PROVIDER" doc:"What the secrets belong to."`
	platformapi.PageQuery
}) (*platformapi.List[secretView], error) {
	offset, limit := in.ListBounds()
	all, total, err := r.List(ctx, access.From(ctx), secretstore.Query{
		Kind: in.Kind, Service: in.Service, Application: in.Application, Offset: offset, Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	views := make([]secretView, 0, len(all))
	for _, s := range all {
		views = append(views, r.view(s))
	}
	return platformapi.ListPart(&in.PageQuery, views, total), nil
}

type findingView struct {
	Status      secretstore.Status `json:"status" enum:"OK,OPTIONAL,MISSING,UNUSED,EXPIRED,EXPIRING"`
	Problem     bool               `json:"problem" doc:"Whether somebody must act."`
	Name        string             `json:"name"`
	Variable    string             `json:"variable" doc:"The environment variable of the parameter."`
	Required    bool               `json:"required"`
	From        secretstore.Kind   `json:"from" doc:"What the secret belongs to: SUBSCRIPTION, SERVICE, TENANT, or ENVIRONMENT for one in the runtime configuration."`
	Version     int                `json:"version"`
	ExpiresAt   *string            `json:"expiresAt"`
	Service     string             `json:"serviceId"`
	Application string             `json:"applicationId"`
}

type report struct {
	OK       bool          `json:"ok" doc:"Whether no finding is a problem."`
	Findings []findingView `json:"findings"`
}

func (r routes) check(ctx context.Context, in *struct {
	Of
	Within string `query:"within" maxLength:"32" doc:"How soon a secret that expires is reported, such as 48h. Absent: 14 days."`
}) (*platformapi.Body[report], error) {
	const soon = 14 * 24 * time.Hour
	within := soon
	if in.Within != "" {
		var err error
		if within, err = time.ParseDuration(in.Within); err != nil {
			return nil, platformapi.NewProblem(http.StatusBadRequest, "within must be a duration such as 48h.")
		}
	}
	found, err := r.Check(ctx, access.From(ctx), in.address(), within)
	if err != nil {
		return nil, err
	}
	out := report{OK: true, Findings: []findingView{}}
	for _, f := range found {
		out.OK = out.OK && !f.Status.Problem()
		out.Findings = append(out.Findings, findingView{
			Status: f.Status, Problem: f.Status.Problem(), Name: f.Name, Variable: f.Variable, Required: f.Required, From: f.From, Version: f.Version,
			ExpiresAt: text(f.ExpiresAt), Service: f.Service, Application: f.Application,
		})
	}
	return &platformapi.Body[report]{Body: out}, nil
}

func (r routes) changes(api *platformapi.API) {
	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodPut, Path: base + "/{name}", ID: "setSecret", Tag: tag, Right: access.ManageSecrets,
		Summary: "Set a stored secret: make it, or add a version", Takes: platformapi.JSONOf[body](), Gives: platformapi.JSONOf[secretView](),
	}, func(ctx context.Context, in *ByName, w http.ResponseWriter, q *http.Request) error {
		return r.put(ctx, in, w, q, r.Set)
	})

	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodPost, Path: base + "/{name}/rotate", ID: "rotateSecret", Tag: tag, Right: access.ManageSecrets,
		Summary: "Add a version to a stored secret that exists", Takes: platformapi.JSONOf[body](), Gives: platformapi.JSONOf[secretView](),
		Description: "New executions get the new version. Those that wait or run keep theirs.",
	}, func(ctx context.Context, in *ByName, w http.ResponseWriter, q *http.Request) error {
		return r.put(ctx, in, w, q, r.Rotate)
	})

	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodPost, Path: base + "-import", ID: "importSecrets", Tag: tag, Right: access.ManageSecrets,
		Summary: "Set several stored secrets: all or none", Takes: platformapi.JSONOf[importBody](), Status: http.StatusNoContent,
	}, r.importAll)

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPut, Path: base + "/{name}/override", ID: "setSecretOverride", Tag: tag, Right: access.ManageSecrets,
		Summary: "Set which callers may replace a stored secret in a request",
	}, func(ctx context.Context, in *struct {
		ByName
		Body struct {
			Override secretstore.Override `json:"override" enum:"NONE,OWN,ANY"`
		}
	}) (*none, error) {
		return nil, r.SetOverride(ctx, access.From(ctx), in.address(), in.Name, in.Body.Override)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: base + "/{name}", ID: "deleteSecret", Tag: tag, Right: access.ManageSecrets,
		Summary: "Delete a stored secret, or one version of it", Description: "Executions that wait or run keep the versions that they were accepted with.",
	}, func(ctx context.Context, in *struct {
		ByName
		Version int `query:"version" minimum:"0" doc:"The number of a version. Absent: all of them."`
	}) (*none, error) {
		return nil, r.Delete(ctx, access.From(ctx), in.address(), in.Name, in.Version)
	})
}

func (r routes) importAll(ctx context.Context, in *Of, w http.ResponseWriter, q *http.Request) error {
	var b importBody
	err := readJSON(w, q, &b)
	defer func() {
		for v := range maps.Values(b.Secrets) {
			clear(v)
		}
	}()
	if err != nil {
		return err
	}
	template, err := b.read()
	if err != nil {
		return err
	}
	values := make(map[string]secretstore.Value, len(b.Secrets))
	for _, name := range slices.Sorted(maps.Keys(b.Secrets)) {
		if b.Secrets[name] == nil {
			return errNoText
		}
		v := template
		v.Secret = plaintext.New(b.Secrets[name])
		values[name] = v
	}
	if err := r.Import(ctx, access.From(ctx), in.address(), values); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (r routes) bindings(api *platformapi.API) {
	const bindings = base + "/{name}/bindings/{serviceId}/{parameter}"
	type input struct {
		Name      string `path:"name" maxLength:"512" doc:"The name of a secret of the account."`
		Service   string `path:"serviceId" maxLength:"64" doc:"The id of a service of the account."`
		Parameter string `path:"parameter" maxLength:"512" doc:"The name of the parameter that gets the secret."`
	}
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPut, Path: bindings, ID: "bindSecret", Tag: tag, Right: access.ManageSecrets,
		Summary: "Give a parameter of a service a secret of the account", Description: "It takes the place of another binding of the parameter.",
	}, func(ctx context.Context, in *input) (*none, error) {
		return nil, r.Bind(ctx, access.From(ctx), in.Name, secretstore.Binding{Service: in.Service, Parameter: in.Parameter})
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: bindings, ID: "unbindSecret", Tag: tag, Right: access.ManageSecrets, Summary: "End a binding of a secret of the account",
	}, func(ctx context.Context, in *input) (*none, error) {
		return nil, r.Unbind(ctx, access.From(ctx), in.Name, secretstore.Binding{Service: in.Service, Parameter: in.Parameter})
	})
}
