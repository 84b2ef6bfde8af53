package accessapi

import (
	"context"
	"net/http"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

type application struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	CreatedAt  *string     `json:"createdAt"`
	Permission access.Role `json:"currentUserPermission"`
}

func asApplication(ctx context.Context, app access.App) application {
	return application{ID: app.ID, Name: app.Name, CreatedAt: text(app.CreatedAt), Permission: access.From(ctx).Role}
}

func (r routes) applications(api *platformapi.API) {
	const path, tag = catalog + "/applications", "Applications"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path, ID: "getApplications", Tag: tag,
		Summary: "List the applications", Right: access.ViewTenant,
	}, func(ctx context.Context, in *platformapi.PageQuery) (*platformapi.List[application], error) {
		apps, err := r.Access.Applications(ctx, access.From(ctx))
		return page(in, list(apps, func(app access.App) application { return asApplication(ctx, app) }), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: path, ID: "createApplication", Tag: tag,
		Summary: "Make an application with one access key", Right: access.ManageApplications, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		Body struct {
			Name string `json:"name" maxLength:"100"`
		}
	}) (*platformapi.Body[application], error) {
		app, err := r.Access.CreateApplication(ctx, access.From(ctx), in.Body.Name)
		return answer(asApplication(ctx, app), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path + "/{id}", ID: "getApplication", Tag: tag,
		Summary: "Read an application", Right: access.ViewTenant,
	}, func(ctx context.Context, in *ByID) (*platformapi.Body[application], error) {
		app, err := r.Access.Application(ctx, access.From(ctx), in.ID)
		return answer(asApplication(ctx, app), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: path + "/{id}", ID: "deleteApplication", Tag: tag,
		Summary: "Delete an application, its keys and its subscriptions", Right: access.ManageApplications,
	}, func(ctx context.Context, in *ByID) (*none, error) {
		return nil, r.Access.DeleteApplication(ctx, access.From(ctx), in.ID)
	})
}

// accessKey is an access key. Its secret is null once it can no longer be read.
type accessKey struct {
	Type        string  `json:"type" enum:"SERVICE_GATEWAY"`
	ID          string  `json:"accessKeyId"`
	Secret      *string `json:"secretAccessKey" doc:"Null unless the caller is an OWNER, and a day after the key was made."`
	CreatedAt   *string `json:"createdAt"`
	UsedAt      *string `json:"usedAt" doc:"Exact to a minute."`
	ExpiresAt   *string `json:"expiresAt" doc:"When it gets no more tokens; null: never."`
	RevealUntil *string `json:"revealUntil"`
}

// asAccessKey also clears the secret.
func asAccessKey(k access.RevealedKey) accessKey {
	key := accessKey{
		Type: "SERVICE_GATEWAY", ID: k.ID, CreatedAt: text(k.CreatedAt), UsedAt: text(k.UsedAt),
		ExpiresAt: text(k.ExpiresAt), RevealUntil: text(k.RevealUntil),
	}
	if k.Secret.Len() > 0 {
		secret := string(k.Secret.Reveal())
		key.Secret = &secret
		k.Secret.Clear()
	}
	return key
}

// KeyOf names an access key in the address.
type KeyOf struct {
	ByID
	Key string `path:"keyId" maxLength:"64" doc:"The id of the access key."`
}

func (r routes) accessKeys(api *platformapi.API) {
	const path, tag = catalog + "/applications/{id}/access-keys", "Applications"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path, ID: "getAccessKeys", Tag: tag,
		Summary: "List the live access keys of an application", Right: access.ViewTenant,
	}, func(ctx context.Context, in *PageByID) (*platformapi.List[accessKey], error) {
		keys, err := r.Access.AccessKeys(ctx, access.From(ctx), in.ID)
		return page(&in.PageQuery, list(keys, asAccessKey), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: path, ID: "createAccessKey", Tag: tag,
		Summary: "Add an access key; two can live at once", Right: access.ManageKeys, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		ByID
		Body *struct {
			Days int `json:"lifetimeDays,omitempty" minimum:"0" maximum:"3650" doc:"After how many days it expires; 0: never."`
		} `required:"false"`
	}) (*platformapi.Body[accessKey], error) {
		var lifetime time.Duration
		if in.Body != nil {
			lifetime = time.Duration(in.Body.Days) * 24 * time.Hour
		}
		key, err := r.Access.CreateAccessKey(ctx, access.From(ctx), in.ID, lifetime)
		return answer(asAccessKey(key), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: path + "/{keyId}/rotate", ID: "rotateAccessKey", Tag: tag,
		Summary: "Replace an access key, which gets tokens for a grace period longer", Right: access.ManageKeys, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		KeyOf
		Body *struct {
			Grace *int `json:"graceSeconds,omitempty" minimum:"0" maximum:"2592000" doc:"Absent: a day."`
		} `required:"false"`
	}) (*platformapi.Body[accessKey], error) {
		grace := access.RotationGrace
		if in.Body != nil && in.Body.Grace != nil {
			grace = time.Duration(*in.Body.Grace) * time.Second
		}
		key, err := r.Access.RotateAccessKey(ctx, access.From(ctx), in.ID, in.Key, grace)
		return answer(asAccessKey(key), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: path + "/{keyId}", ID: "deleteAccessKey", Tag: tag,
		Summary: "Revoke an access key and its tokens", Right: access.ManageKeys,
	}, func(ctx context.Context, in *KeyOf) (*none, error) {
		return nil, r.Access.DeleteAccessKey(ctx, access.From(ctx), in.ID, in.Key)
	})
}
