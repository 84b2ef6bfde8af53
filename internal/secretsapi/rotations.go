package secretsapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/secretstore"
)

// hookBody is the hook of a secret in a request.
type hookBody struct {
	Command string `json:"command" required:"false" maxLength:"128" doc:"The name of a program on the list of the operator. It prints the new value."`
	Webhook string `json:"webhook" required:"false" maxLength:"1024" doc:"In place of a command: an https address. Its answer to a POST is the new value."`
	Every   string `json:"every" required:"false" maxLength:"32" doc:"How often the server rotates the secret, such as 24h. Absent: on request only."`
	Keep    string `json:"keep" required:"false" maxLength:"32" doc:"How long the version before is kept, such as 24h."`
}

// rotationView is the hook of a secret with its state.
type rotationView struct {
	Command   string  `json:"command,omitempty"`
	Webhook   string  `json:"webhook,omitempty"`
	Every     string  `json:"every,omitempty"`
	Keep      string  `json:"keep,omitempty"`
	SetBy     string  `json:"setBy" doc:"The id of the user that has set it."`
	NextAt    *string `json:"nextAt" doc:"When it runs next. Null: on request."`
	LastAt    *string `json:"lastAt" doc:"When it has run last. Null: never."`
	LastError string  `json:"lastError,omitempty" doc:"Why the last run failed. The secret has kept its value."`
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// rotation is the view of a hook; nil of none.
func (r routes) rotation(ctx context.Context, in *ByName) (*rotationView, error) {
	found, err := r.Rotation(ctx, access.From(ctx), in.address(), in.Name)
	if err != nil || found.Command == "" && found.Webhook == "" {
		return nil, err
	}
	return &rotationView{
		Command: found.Command, Webhook: found.Webhook, Every: duration(found.Every), Keep: duration(found.Keep), SetBy: found.SetBy,
		NextAt: text(found.DueAt), LastAt: text(found.LastAt), LastError: found.LastError,
	}, nil
}

// period reads a duration; zero of an empty text.
func period(name, value string) (time.Duration, error) {
	if value == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, platformapi.NewProblem(http.StatusBadRequest, name+" must be a duration such as 24h.")
	}
	return d, nil
}

func (r routes) rotations(api *platformapi.API) {
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPut, Path: base + "/{name}/hook", ID: "setSecretHook", Tag: tag, Right: access.ManageSecrets,
		Summary: "Set where new values of a stored secret come from", Description: "The operator of the server allows programs and hosts.",
	}, func(ctx context.Context, in *struct {
		ByName
		Body hookBody
	}) (*none, error) {
		h := secretstore.Hook{Command: in.Body.Command, Webhook: in.Body.Webhook}
		var err error
		if h.Every, err = period("every", in.Body.Every); err != nil {
			return nil, err
		}
		if h.Keep, err = period("keep", in.Body.Keep); err != nil {
			return nil, err
		}
		return nil, r.SetHook(ctx, access.From(ctx), in.address(), in.Name, h)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: base + "/{name}/hook", ID: "removeSecretHook", Tag: tag, Right: access.ManageSecrets,
		Summary: "Take the hook from a stored secret",
	}, func(ctx context.Context, in *ByName) (*none, error) {
		return nil, r.RemoveHook(ctx, access.From(ctx), in.address(), in.Name)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: base + "/{name}/hook/run", ID: "runSecretHook", Tag: tag, Right: access.ManageSecrets,
		Errors: []int{http.StatusConflict, http.StatusBadGateway}, Summary: "Rotate a stored secret by its hook",
		Description: "New executions get the new version. Those that wait or run keep theirs. If the hook fails, the secret keeps its value.",
	}, func(ctx context.Context, in *ByName) (*platformapi.Body[secretView], error) {
		s, err := r.RunHook(ctx, access.From(ctx), in.address(), in.Name)
		if failed, ok := errors.AsType[*secretstore.HookError](err); ok {
			return nil, platformapi.NewProblem(http.StatusBadGateway, "The secret keeps its value: "+failed.Error()+".")
		}
		if err != nil {
			return nil, err
		}
		return &platformapi.Body[secretView]{Body: r.view(s)}, nil
	})
}
