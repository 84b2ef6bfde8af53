package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// The routes of an archived command line, planqk 2.9.14. It needs a JSON document in each
// answer, also where there is nothing to say.

// ByVersion names a version of a service in the address.
type ByVersion struct {
	ByID
	Version string `path:"versionId" maxLength:"64" doc:"The id of the version."`
}

const tagAncestor = "Older command line"

func (h *Hub) ancestorRoutes(api *platformapi.API) {
	view := platformapi.JSONOf[serviceView]()
	create := op("POST /v2/managed-services", "createServiceV2", access.Deploy, tagAncestor, "Make a service of an archive, and begin a build")
	create.Description = "The part userCode is the archive. Other parts are not read."
	create.Status, create.Takes, create.Gives, create.Errors = http.StatusCreated, platformapi.MultipartFile(), view, []int{http.StatusUnprocessableEntity}
	platformapi.Stream(api, create, h.createV2)

	const version = "/services/{id}/versions/{versionId}"
	platformapi.Register(api, op("PUT "+version, "updateServiceVersion", access.Deploy, tagAncestor, "Set the description"), h.describeVersion)
	platformapi.Register(api, op("PUT "+version+"/resource-configuration", "setServiceVersionResource", access.Deploy, tagAncestor, "Set one limit of executions"), h.configureVersion)
	platformapi.Register(api, op("GET "+version+"/build-status", "getServiceVersionBuildStatus", access.ViewTenant, tagAncestor, "Tell how the newest build of a version stands"), h.versionBuildStatus)

	spec := op("PUT /v3"+version+"/api-spec", "setServiceVersionApiSpec", access.Deploy, tagAncestor, "Upload a description of the API")
	spec.Description, spec.Takes, spec.Gives = "It is not kept: the server makes the description of the code.", platformapi.MultipartFile(), view
	platformapi.Stream(api, spec, h.describeVersionAPI)
	source := op("POST /v3"+version+"/source-code", "uploadServiceVersionSource", access.Deploy, tagAncestor, "Upload the sources of a version, and begin a build")
	source.Takes, source.Gives = platformapi.MultipartFile(), view
	platformapi.Stream(api, source, h.uploadVersion)

	start := op("POST /jobs", "createJob", access.RunJob, tagAncestor, "Run a version of a service of the account")
	start.Description = "inputData and parameters are JSON texts. They become the parameters data and params of the service, or their members become parameters."
	start.Takes, start.Gives = platformapi.JSONOf[oldJob](), platformapi.JSONOf[oldJobView]()
	platformapi.Stream(api, start, h.startOldJob)
	platformapi.Register(api, op("GET /jobs/{id}", "getJob", access.ViewTenant, tagAncestor, "Tell how a job stands"), h.getOldJob)
}

type createV2Query struct {
	Name        string `query:"name" doc:"The name of the service."`
	Description string `query:"description" doc:"Its description."`
	MilliCPU    int    `query:"milliCpus" doc:"The processor time of an execution, in thousandths of a core."`
	MemoryMB    int    `query:"memoryInMegabytes" doc:"The memory of an execution."`
	Runtime     string `query:"runtime" doc:"PYTHON_TEMPLATE."`
	GPUs        int    `query:"gpuCount" doc:"0: this server gives services no GPU."`
	Accelerator string `query:"gpuAccelerator" doc:"Makes no difference."`
}

// settings are those of a new service.
func (q *createV2Query) settings() (registry.Settings, error) {
	var s registry.Settings
	if q.Runtime == "PYTHON" { // its former name
		q.Runtime = ""
	}
	runtime := runtimeBody{Runtime: q.Runtime}
	err := runtime.check()
	for _, r := range []resource{{Type: "cpu", Amount: q.MilliCPU, Unit: "m"}, {Type: "memory", Amount: q.MemoryMB, Unit: "M"}, {Type: "gpu", Amount: q.GPUs}} {
		if err == nil && r.Amount != 0 {
			err = applyResource(&s, r)
		}
	}
	return s, err
}

// createV2 makes a service of an archive. Nothing is made of one that is refused.
func (h *Hub) createV2(ctx context.Context, in *createV2Query, w http.ResponseWriter, r *http.Request) error {
	settings, err := in.settings()
	if err != nil {
		return err
	}
	part, err := filePart(r)
	if err != nil {
		return err
	}
	key := "sources/" + uuid.NewString()
	if err := h.builds.room(access.From(ctx).Tenant); err != nil {
		return err
	}
	if _, err := h.blobs.Put(ctx, key, platformapi.Patient(w, part), blob.PutOptions{Limit: maxArchive}); err != nil {
		return uploadError(err)
	}
	caller := access.From(ctx)
	var s registry.Service
	var v registry.Version
	if err = h.check(ctx, key); err == nil {
		s, v, err = h.newService(ctx, caller.Tenant, in.Name, registry.DefaultVersion, registry.Texts{Description: in.Description}, func(v *registry.Version) error {
			v.Settings = settings
			v.Source = key
			return nil
		})
	}
	if err != nil {
		return errors.Join(err, h.blobs.Delete(ctx, key))
	}
	if _, err := h.begin(ctx, v.ID, caller.ID); err != nil {
		return err
	}
	return h.answerService(ctx, w, http.StatusCreated, s)
}

func (h *Hub) answerService(ctx context.Context, w http.ResponseWriter, status int, s registry.Service) error {
	view, err := h.shownService(ctx, s)
	if err != nil {
		return err
	}
	return platformapi.WriteJSON(w, status, view)
}

// ownVersion finds a version of a service of the caller's tenant.
func (h *Hub) ownVersion(ctx context.Context, in *ByVersion) (registry.Service, registry.Version, error) {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return s, registry.Version{}, err
	}
	v, err := h.store.Version(ctx, in.Version)
	if err == nil && v.Service != s.ID {
		err = registry.ErrNotFound
	}
	return s, v, err
}

type describeVersionInput struct {
	ByVersion
	Body struct {
		Description string `json:"description,omitempty" nullable:"true"`
	}
}

func (h *Hub) describeVersion(ctx context.Context, in *describeVersionInput) (*platformapi.Body[serviceView], error) {
	s, _, err := h.ownVersion(ctx, &in.ByVersion)
	if err == nil {
		_, err = h.change(ctx, s.ID, func(s *registry.Service) { s.Description = in.Body.Description })
	}
	if err == nil {
		s, err = h.own(ctx, s.ID)
	}
	return h.shownBody(ctx, s, err)
}

func (h *Hub) shownBody(ctx context.Context, s registry.Service, err error) (*platformapi.Body[serviceView], error) {
	if err != nil {
		return nil, err
	}
	view, err := h.shownService(ctx, s)
	return &platformapi.Body[serviceView]{Body: view}, err
}

type configureVersionInput struct {
	ByVersion
	Body resource
}

func (h *Hub) configureVersion(ctx context.Context, in *configureVersionInput) (*platformapi.Body[serviceView], error) {
	s, v, err := h.ownVersion(ctx, &in.ByVersion)
	if err == nil {
		_, err = h.store.ChangeVersion(ctx, v.ID, func(v *registry.Version) error { return applyResource(&v.Settings, in.Body) })
	}
	return h.shownBody(ctx, s, err)
}

func (h *Hub) versionBuildStatus(ctx context.Context, in *ByVersion) (*platformapi.Body[buildView], error) {
	_, v, err := h.ownVersion(ctx, in)
	if err != nil {
		return nil, err
	}
	r, err := h.newestOf(ctx, v)
	if err != nil {
		return nil, err
	}
	return &platformapi.Body[buildView]{Body: buildOf(r)}, nil
}

// maxSpec bounds a description of an API.
const maxSpec = 4 << 20

func (h *Hub) describeVersionAPI(ctx context.Context, in *ByVersion, w http.ResponseWriter, r *http.Request) error {
	s, _, err := h.ownVersion(ctx, in)
	if err != nil {
		return err
	}
	part, err := filePart(r)
	if err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(part, maxSpec+1)); err != nil || n > maxSpec {
		return problem(http.StatusBadRequest, "The upload is not complete, or larger than 4 MiB.")
	}
	return h.answerService(ctx, w, http.StatusOK, s)
}

func (h *Hub) uploadVersion(ctx context.Context, in *ByVersion, w http.ResponseWriter, r *http.Request) error {
	s, v, err := h.ownVersion(ctx, in)
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
	return h.answerService(ctx, w, http.StatusOK, s)
}

// oldJob starts a job.
type oldJob struct {
	VersionID  string `json:"serviceDefinitionId" doc:"The id of a version."`
	InputData  string `json:"inputData" required:"false" doc:"A JSON document as a text."`
	Parameters string `json:"parameters" required:"false" doc:"A JSON document as a text."`
	Persist    bool   `json:"persistResult" required:"false" doc:"Makes no difference."`
}

type oldJobView struct {
	ID     execution.ID     `json:"id"`
	Status execution.Status `json:"status"`
}

func (h *Hub) startOldJob(ctx context.Context, _ *none, w http.ResponseWriter, r *http.Request) error {
	var body oldJob
	if err := platformapi.ReadJSON(w, r, &body); err != nil {
		return err
	}
	v, err := h.store.Version(ctx, body.VersionID)
	if err != nil {
		return err
	}
	s, err := h.own(ctx, v.Service)
	if err == nil {
		err = h.Revisions.ensure(ctx, v.ID)
	}
	if err != nil {
		return err
	}
	active, ok := h.Server.Engine().Service(v.ID).Current()
	if !ok {
		return registry.ErrNotFound
	}
	input := members{}
	for parameter, text := range map[string]string{"data": body.InputData, "params": body.Parameters} {
		if err := input.add(active.Signature, parameter, text); err != nil {
			return err
		}
	}
	request, err := json.Marshal(input)
	if err != nil {
		return err
	}
	ctx, w, end := h.repeats.watch(ctx, w)
	defer end()
	accepted, err := h.scope(s, v).Submit(ctx, engine.Submission{Body: request})
	if err != nil {
		return err
	}
	return platformapi.WriteJSON(w, http.StatusOK, oldJobView{accepted.Execution.ID, accepted.Execution.Status})
}

// add adds a document to an input: as a parameter, if the service has it, and as its
// members otherwise.
func (m members) add(described *signature.Signature, parameter, text string) error {
	if text == "" {
		return nil
	}
	if !json.Valid([]byte(text)) {
		return problem(http.StatusBadRequest, "inputData and parameters must be JSON documents as texts.")
	}
	if _, ok := described.Lookup(parameter); ok {
		m[parameter] = json.RawMessage(text)
		return nil
	}
	var more members
	if err := json.Unmarshal([]byte(text), &more); err != nil {
		return problem(http.StatusBadRequest, "The service has no parameter "+parameter+", so inputData and parameters must be objects.")
	}
	for name, value := range more {
		m[name] = value
	}
	return nil
}

func (h *Hub) getOldJob(ctx context.Context, in *ByExecution) (*platformapi.Body[oldJobView], error) {
	_, e, _, err := h.execution(ctx, in)
	return &platformapi.Body[oldJobView]{Body: oldJobView{e.ID, e.Status}}, err
}
