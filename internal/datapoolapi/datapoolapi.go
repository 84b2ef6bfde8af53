// Package datapoolapi has the routes of the platform API about data pools: those of the
// published clients, and uploads in pieces beside them.
package datapoolapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

const (
	base = "/qc-catalog/datapools"
	tag  = "Data pools"
)

type routes struct{ *datapool.Service }

// Register adds all routes to an API.
func Register(api *platformapi.API, s *datapool.Service) {
	r := routes{s}
	r.pools(api)
	r.files(api)
	r.uploads(api)
	r.shares(api)
	r.constraints(api)
}

// none is the answer of a route that gives nothing.
type none struct{}

// ByID names a data pool in the address.
type ByID struct {
	ID string `path:"id" maxLength:"64" doc:"The id of the data pool."`
}

// text is a time as the published clients read it: yyyy-MM-dd HH:mm:ss, UTC.
func text(t time.Time) string { return t.UTC().Format(time.DateTime) }

// list converts the elements of a slice.
func list[A, B any](all []A, convert func(A) B) []B {
	out := make([]B, 0, len(all))
	for _, one := range all {
		out = append(out, convert(one))
	}
	return out
}

// answer is a body with a document, unless there is an error.
func answer[T any](document T, err error) (*platformapi.Body[T], error) {
	if err != nil {
		return nil, err
	}
	return &platformapi.Body[T]{Body: document}, nil
}

// bodyError is an error of the connection that brings a body.
type bodyError struct{ error }

func (e *bodyError) Unwrap() error { return e.error }

// body marks the errors of a body.
type body struct{ from io.Reader }

func (b body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bodyError{err}
	}
	return n, err
}

// explain makes a problem of an error of an upload.
func (r routes) explain(err error) error {
	var broken *bodyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &broken) && errors.Is(err, os.ErrDeadlineExceeded):
		return platformapi.NewProblem(http.StatusBadRequest, "The upload has stopped: no byte has come for too long.")
	case errors.As(err, &broken), errors.Is(err, io.ErrUnexpectedEOF):
		return platformapi.NewProblem(http.StatusBadRequest, "The upload is not complete.")
	case errors.Is(err, blob.ErrTooLarge):
		return platformapi.NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("A file of a data pool may have %d bytes.", r.MaxFile))
	case errors.Is(err, blob.ErrChecksum):
		return platformapi.NewProblem(http.StatusBadRequest, "The file does not have the checksum that was announced.")
	case errors.Is(err, blob.ErrFull):
		return platformapi.NewProblem(http.StatusInsufficientStorage, "The server has no room for this; nothing was changed.")
	default:
		return err
	}
}

type poolView struct {
	ID               string      `json:"id"`
	Name             string      `json:"name"`
	ShortDescription string      `json:"shortDescription"`
	Description      string      `json:"description"`
	Tags             []string    `json:"tags" doc:"In lower case."`
	CreatedAt        string      `json:"createdAt"`
	Permission       access.Role `json:"currentUserPermission" doc:"The role of the caller."`
}

func asPool(p datapool.Pool) poolView {
	return poolView{
		ID: p.ID, Name: p.Name, ShortDescription: p.ShortDescription, Description: p.Description,
		Tags: append([]string{}, p.Tags...), CreatedAt: text(p.CreatedAt), Permission: p.Role,
	}
}

// poolFields are those that a client sets. Absent ones, and null, stay unchanged.
type poolFields struct {
	Name             string    `json:"name" doc:"3 to 255 characters, unique in the account."`
	ShortDescription *string   `json:"shortDescription,omitempty" nullable:"true" doc:"At most 60 characters."`
	Description      *string   `json:"description,omitempty" nullable:"true"`
	Tags             *[]string `json:"tags,omitempty" nullable:"true" doc:"They are kept in lower case."`
}

func (f poolFields) into(p datapool.Pool) datapool.Pool {
	p.Name = f.Name
	if f.ShortDescription != nil {
		p.ShortDescription = *f.ShortDescription
	}
	if f.Description != nil {
		p.Description = *f.Description
	}
	if f.Tags != nil {
		p.Tags = slices.Clone(*f.Tags)
	}
	return p
}

func (r routes) pools(api *platformapi.API) {
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: base, ID: "getDataPools", Tag: tag, Right: access.ReadPools,
		Summary: "List the data pools of the account, and those that are shared with it",
	}, func(ctx context.Context, in *struct{ platformapi.PageQuery }) (*platformapi.List[poolView], error) {
		offset, limit := in.ListBounds()
		pools, total, err := r.List(ctx, access.From(ctx), limit, offset)
		if err != nil {
			return nil, err
		}
		return platformapi.ListPart(&in.PageQuery, list(pools, asPool), total), nil
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: base, ID: "createDataPool", Tag: tag, Right: access.WritePools,
		Summary: "Make a data pool", Status: http.StatusCreated, Errors: []int{http.StatusConflict},
	}, func(ctx context.Context, in *struct{ Body poolFields }) (*platformapi.Body[poolView], error) {
		p, err := r.Create(ctx, access.From(ctx), in.Body.into(datapool.Pool{}))
		return answer(asPool(p), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: base + "/{id}", ID: "getDataPool", Tag: tag, Right: access.ReadPools, Summary: "Read a data pool",
	}, func(ctx context.Context, in *ByID) (*platformapi.Body[poolView], error) {
		p, err := r.Get(ctx, access.From(ctx), in.ID)
		return answer(asPool(p), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPut, Path: base + "/{id}", ID: "updateDataPool", Tag: tag, Right: access.WritePools,
		Summary: "Change the name and the texts of a data pool", Description: "Absent members stay unchanged.", Errors: []int{http.StatusConflict},
	}, func(ctx context.Context, in *struct {
		ByID
		Body poolFields
	}) (*platformapi.Body[poolView], error) {
		caller := access.From(ctx)
		p, err := r.Get(ctx, caller, in.ID)
		if err == nil {
			p, err = r.Update(ctx, caller, in.Body.into(p))
		}
		return answer(asPool(p), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: base + "/{id}", ID: "deleteDataPool", Tag: tag, Right: access.SharePools,
		Summary: "Delete a data pool with all its files",
	}, func(ctx context.Context, in *ByID) (*none, error) {
		return nil, r.Delete(ctx, access.From(ctx), in.ID)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: base + "/{id}/grants", ID: "createDataPoolGrant", Tag: tag, Right: access.ReadPools, Status: http.StatusCreated,
		Summary: "Let an application use a data pool for some minutes",
		Description: "The application sends the token as the member grant of the reference to the data pool. A grant permits no more than " +
			"its issuer may do: VIEW takes the role VIEWER, MODIFY takes MAINTAINER, GRANT takes OWNER.",
	}, r.grant)
}

type grantView struct {
	Token     string `json:"token" doc:"A JWT, bound to the data pool, the application and the permission."`
	ExpiresAt string `json:"expiresAt"`
}

func (r routes) grant(ctx context.Context, in *struct {
	ByID
	Body struct {
		Application string              `json:"applicationId" maxLength:"64" doc:"An application of the account."`
		Permission  datapool.Permission `json:"permission" doc:"VIEW, MODIFY or GRANT."`
	}
}) (*platformapi.Body[grantView], error) {
	token, until, err := r.IssueGrant(ctx, access.From(ctx), in.ID, in.Body.Application, in.Body.Permission)
	if err != nil {
		return nil, err
	}
	defer token.Clear()
	return answer(grantView{string(token.Reveal()), text(until)}, nil)
}
