package hub

import (
	"cmp"
	"context"
	"errors"
	"mime"
	"net/http"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
)

type deployQuery struct {
	Name    string `query:"name" doc:"The name of the service."`
	Version string `query:"version" doc:"Absent: 1.0.0."`
	SHA256  string `query:"sha256" doc:"The checksum of the archive in hexadecimal digits, which is then checked."`
}

// deploymentView says what a deployment has made.
type deploymentView struct {
	ServiceID           string       `json:"serviceId"`
	ServiceDefinitionID string       `json:"serviceDefinitionId" doc:"The id of the version."`
	Name                string       `json:"name"`
	Version             string       `json:"version"`
	SHA256              string       `json:"sha256" doc:"The checksum of the archive."`
	GatewayEndpoint     string       `json:"gatewayEndpoint"`
	Revision            revisionView `json:"revision"`
}

// deploy takes an archive for a version of a service, both of which it makes if need
// be: POST /deployments?name=NAME&version=1.0.0 with the archive as the body. Nothing
// is made of an archive that is refused.
func (h *Hub) deploy(ctx context.Context, in *deployQuery, w http.ResponseWriter, r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/zip" {
		return problem(http.StatusUnsupportedMediaType, "The body must be an archive: application/zip.")
	}
	version := cmp.Or(in.Version, registry.DefaultVersion)
	name, display, err := serviceNames(in.Name)
	if err == nil {
		err = registry.CheckVersion(version)
	}
	if err != nil {
		return err
	}
	if err := h.builds.room(access.From(ctx).Tenant); err != nil {
		return err
	}
	key := "sources/" + uuid.NewString()
	info, err := h.blobs.Put(ctx, key, platformapi.Patient(w, r.Body), blob.PutOptions{Limit: maxArchive, SHA256: in.SHA256})
	if errors.Is(err, blob.ErrChecksum) {
		return problem(http.StatusBadRequest, "The archive does not have the checksum that was announced.")
	}
	if err != nil {
		return uploadError(err)
	}
	if err := h.check(ctx, key); err != nil {
		return errors.Join(err, h.blobs.Delete(ctx, key))
	}
	audit.Note(ctx, "service", name)
	audit.Note(ctx, "version", version)
	audit.Note(ctx, "sha256", info.SHA256)
	s, v, begun, err := h.place(ctx, name, display, version, key)
	if err != nil {
		return err
	}
	return platformapi.WriteJSON(w, http.StatusCreated, deploymentView{
		ServiceID: s.ID, ServiceDefinitionID: v.ID, Name: s.Name, Version: v.Version, SHA256: info.SHA256,
		GatewayEndpoint: h.endpoint(ctx, s, v.Version), Revision: revisionOf(begun, v),
	})
}

// place makes a service and a version if need be, and begins the build of an archive.
func (h *Hub) place(ctx context.Context, name, display, version, key string) (registry.Service, registry.Version, registry.Revision, error) {
	h.placing.Lock()
	defer h.placing.Unlock()
	s, v, err := h.versionFor(ctx, access.From(ctx).Tenant, name, display, version)
	if err != nil {
		return s, v, registry.Revision{}, errors.Join(err, h.blobs.Delete(ctx, key))
	}
	v, begun, err := h.buildOf(ctx, v.ID, key)
	return s, v, begun, err
}

// buildOf makes an archive the source of a version and begins its build. The caller
// holds placing.
func (h *Hub) buildOf(ctx context.Context, version, key string) (registry.Version, registry.Revision, error) {
	v, err := h.store.ChangeVersion(ctx, version, func(v *registry.Version) error {
		v.Source = key
		return nil
	})
	if err != nil { // the change may have been made: collect removes an archive that no version has
		return v, registry.Revision{}, err
	}
	begun, err := h.begin(ctx, version, access.From(ctx).ID)
	return v, begun, err
}

// versionFor finds a version of a service, and makes those that are missing.
func (h *Hub) versionFor(ctx context.Context, tenant, name, display, version string) (registry.Service, registry.Version, error) {
	s, err := h.store.ServiceNamed(ctx, tenant, name)
	if errors.Is(err, registry.ErrNotFound) {
		return h.newService(ctx, tenant, name, version, registry.Texts{DisplayName: display}, nil)
	}
	if err != nil {
		return s, registry.Version{}, err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return s, registry.Version{}, err
	}
	if v, ok := pick(versions, version); ok {
		return s, v, nil
	}
	v := registry.Version{ID: uuid.NewString(), Service: s.ID, Version: version}
	if former, ok := registry.Latest(versions); ok {
		if err := h.inherit(ctx, tenant, former, &v); err != nil {
			return s, v, err
		}
	}
	return s, v, h.store.AddVersion(ctx, v)
}
