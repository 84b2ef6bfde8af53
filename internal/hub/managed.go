package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/archive"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
)

// maxArchive is the size of an archive.
const maxArchive = 512 << 20

// managedBody makes a service.
type managedBody struct {
	Name                   string       `json:"name" doc:"The name in addresses is made of it."`
	DisplayName            string       `json:"displayName" required:"false"`
	Summary                string       `json:"summary" required:"false"`
	Description            string       `json:"description" required:"false"`
	Source                 *sourceView  `json:"source" required:"false"`
	RuntimeConfiguration   *runtimeBody `json:"runtimeConfiguration" required:"false"`
	ResourceConfigurations []resource   `json:"resourceConfigurations" required:"false"`
}

func (h *Hub) createManaged(ctx context.Context, _ *none, w http.ResponseWriter, r *http.Request) error {
	var body managedBody
	err := platformapi.ReadJSON(w, r, &body)
	defer body.RuntimeConfiguration.clear()
	if err != nil {
		return err
	}
	if body.Source != nil && body.Source.Type != "file" {
		return problem(http.StatusBadRequest, fmt.Sprintf("This server builds uploaded archives; it has no sources of the type %.40q.", body.Source.Type))
	}
	var settings registry.Settings
	if body.RuntimeConfiguration != nil {
		if err := body.RuntimeConfiguration.check(); err != nil {
			return err
		}
		body.RuntimeConfiguration.note(ctx)
	}
	for _, r := range body.ResourceConfigurations {
		if err := applyResource(&settings, r); err != nil {
			return err
		}
	}
	texts := registry.Texts{DisplayName: body.DisplayName, Summary: body.Summary, Description: body.Description}
	tenant := access.From(ctx).Tenant
	s, _, err := h.newService(ctx, tenant, body.Name, registry.DefaultVersion, texts, func(v *registry.Version) error {
		v.Settings = settings
		if body.RuntimeConfiguration == nil {
			return nil
		}
		return h.applyRuntime(ctx, v, tenant, body.RuntimeConfiguration)
	})
	if err != nil {
		return err
	}
	view, err := h.shownService(ctx, s)
	if err != nil {
		return err
	}
	w.Header().Set("Location", catalog+"/services/"+s.ID)
	return platformapi.WriteJSON(w, http.StatusCreated, view)
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

const (
	maxVariables = 200
	maxVariable  = 32 << 10
)

// reserved are variables that the server gives a meaning, and those that load code
// into the processes that start an execution.
func reserved(name string) bool {
	switch name {
	case "HOME", "TMPDIR", "PATH", "WORKSPACE", "ENTRYPOINT", "INPUT_DIRECTORY", "OUTPUT_DIRECTORY", "DATAPOOL_DIRECTORY", "VIRTUAL_ENV", "PYTHONUNBUFFERED":
		return true
	}
	return strings.HasPrefix(name, "QHUBCTL_") || strings.HasPrefix(name, "KQH_") || strings.HasPrefix(name, "LD_")
}

// The most that a service may ask for.
const (
	maxMilliCPU = 1_000_000
	maxMemoryMB = 1 << 20
)

// applyResource takes a limit over.
func applyResource(s *registry.Settings, given resource) error {
	bad := func(rule string) error {
		return problem(http.StatusBadRequest, fmt.Sprintf("The amount of %s must be %s.", given.Type, rule))
	}
	switch given.Type {
	case "cpu":
		if given.Unit != "m" || given.Amount < 10 || given.Amount > maxMilliCPU {
			return bad("10 to 1000000 in the unit m")
		}
		s.MilliCPU = given.Amount
	case "memory":
		if given.Unit != "M" || given.Amount < 16 || given.Amount > maxMemoryMB {
			return bad("16 to 1048576 in the unit M")
		}
		s.MemoryMB = given.Amount
	case "gpu":
		if given.Amount != 0 {
			return problem(http.StatusBadRequest, "This server gives services no GPU.")
		}
	default:
		return problem(http.StatusBadRequest, "type must be cpu, memory or gpu.")
	}
	return nil
}

// configure changes the settings of the current version.
func (h *Hub) configure(ctx context.Context, id string, change func(registry.Service, *registry.Version) error) error {
	s, err := h.own(ctx, id)
	if err != nil {
		return err
	}
	v, err := h.current(ctx, s)
	if err == nil {
		_, err = h.store.ChangeVersion(ctx, v.ID, func(v *registry.Version) error { return change(s, v) })
		h.variables.changed(v.ID)
	}
	return err
}

func (h *Hub) configureRuntime(ctx context.Context, in *ByID, w http.ResponseWriter, r *http.Request) error {
	var body runtimeBody
	err := platformapi.ReadJSON(w, r, &body)
	defer body.clear()
	if err == nil {
		err = body.check()
	}
	body.note(ctx)
	if err == nil {
		err = h.configure(ctx, in.ID, func(s registry.Service, v *registry.Version) error { return h.applyRuntime(ctx, v, s.Tenant, &body) })
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type resourceInput struct {
	ByID
	Body resource
}

func (h *Hub) configureResource(ctx context.Context, in *resourceInput) (*none, error) {
	return nil, h.configure(ctx, in.ID, func(_ registry.Service, v *registry.Version) error { return applyResource(&v.Settings, in.Body) })
}

// upload stores an archive and begins to build it.
func (h *Hub) upload(ctx context.Context, in *ByID, w http.ResponseWriter, r *http.Request) error {
	v, err := h.ownCurrent(ctx, in.ID)
	if err != nil {
		return err
	}
	part, err := filePart(r)
	if err != nil {
		return err
	}
	if err := h.accept(ctx, v.ID, platformapi.Patient(w, part)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// accept stores an archive, gives it to a version, and begins a build. The archive is
// checked before the version has it.
func (h *Hub) accept(ctx context.Context, version string, content io.Reader) error {
	if err := h.builds.room(access.From(ctx).Tenant); err != nil {
		return err
	}
	key := "sources/" + uuid.NewString()
	if _, err := h.blobs.Put(ctx, key, content, blob.PutOptions{Limit: maxArchive}); err != nil {
		return uploadError(err)
	}
	if err := h.check(ctx, key); err != nil {
		return errors.Join(err, h.blobs.Delete(ctx, key))
	}
	h.placing.Lock()
	defer h.placing.Unlock()
	_, _, err := h.buildOf(ctx, version, key)
	return err
}

func uploadError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrNotMultipart) || errors.Is(err, multipart.ErrMessageTooLarge) {
		return problem(http.StatusBadRequest, "The upload is not complete.")
	}
	return err
}

func (h *Hub) check(ctx context.Context, key string) error {
	object, err := h.blobs.Open(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	_, err = archive.Open(object, object.Info().Size, h.Limits.Archive)
	return err
}

// filePart is the first file of a multipart body.
func filePart(r *http.Request) (io.Reader, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || parameters["boundary"] == "" {
		return nil, problem(http.StatusUnsupportedMediaType, "The body must be multipart/form-data with one part named file.")
	}
	reader := multipart.NewReader(r.Body, parameters["boundary"])
	for range 10 {
		part, err := reader.NextPart()
		if err != nil {
			break
		}
		if name := part.FormName(); name == "file" || name == "userCode" {
			return part, nil
		}
	}
	return nil, problem(http.StatusBadRequest, "The body has no part named file.")
}

// download answers with the archive that was uploaded last.
func (h *Hub) download(ctx context.Context, in *ByID, w http.ResponseWriter, _ *http.Request) error {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return err
	}
	v, err := h.current(ctx, s)
	if err != nil {
		return err
	}
	if v.Source == "" {
		return registry.ErrNotFound
	}
	object, err := h.blobs.Open(ctx, v.Source)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="`+s.Name+`.zip"`)
	w.Header().Set("Content-Length", strconv.FormatInt(object.Info().Size, 10))
	return platformapi.Copy(w, object)
}

// build begins a build. It is harmless while one works.
func (h *Hub) build(ctx context.Context, in *ByID) (*none, error) {
	v, err := h.ownCurrent(ctx, in.ID)
	if err == nil {
		err = h.builds.room(access.From(ctx).Tenant)
	}
	if err == nil {
		_, err = h.begin(ctx, v.ID, access.From(ctx).ID)
	}
	return nil, err
}
