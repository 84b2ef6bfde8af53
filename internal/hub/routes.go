package hub

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// catalog is the base path of the platform API.
const catalog = "/qc-catalog"

// ServeHTTP implements [http.Handler].
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, gatewayBase+"/") {
		h.gateway.ServeHTTP(w, r) // each service has its own frame
		return
	}
	h.API.ServeHTTP(w, r)
}

// ByID names a service in the address.
type ByID struct {
	ID string `path:"id" maxLength:"64" doc:"The id of the service."`
}

// ByRevision names a revision of a service in the address.
type ByRevision struct {
	ByID
	Revision string `path:"revision" maxLength:"64" doc:"The id of the revision."`
}

// none is the input of a route that takes nothing, and the answer of one that gives
// nothing.
type none struct{}

// The groups of operations.
const (
	tagServices = "Services"
	tagManaged  = "Builds and settings"
	tagVersions = "Versions and revisions"
	tagJobs     = "Jobs and executions"
	tagServer   = "Server"
	tagMarket   = "Marketplace"
)

// op is a route of the platform API: method and path, id and right.
func op(pattern, id string, right access.Right, tag, summary string) platformapi.Route {
	method, path, _ := strings.Cut(pattern, " ")
	return platformapi.Route{Method: method, Path: catalog + path, ID: id, Right: right, Tag: tag, Summary: summary}
}

// with completes a route.
func with(r platformapi.Route, complete func(*platformapi.Route)) platformapi.Route {
	complete(&r)
	return r
}

// register adds all routes to the platform API.
func (h *Hub) register(api *platformapi.API) {
	platformapi.Alias[execution.Execution, executionView](api)
	platformapi.Alias[execution.LogEntry, logView](api)
	platformapi.Alias[runtimeBody, runtimeView](api)
	platformapi.Alias[job, jobView](api)
	platformapi.Alias[listedExecution, listedExecutionView](api)
	h.serviceRoutes(api)
	h.textRoutes(api)
	h.marketplaceRoutes(api)
	h.versionRoutes(api)
	h.managedRoutes(api)
	h.jobRoutes(api)
	h.executionRoutes(api)
	h.activityRoutes(api)
	h.shareRoutes(api)
	h.ancestorRoutes(api)
	h.serverRoutes(api)
}

func (h *Hub) serviceRoutes(api *platformapi.API) {
	platformapi.Register(api, op("GET /services", "getServices", access.ViewTenant, tagServices, "List the services of the account"), h.listServices)
	platformapi.Register(api, with(op("GET /services/name-available", "isServiceNameAvailable", access.ViewTenant, tagServices,
		"Tell whether a name is free"), func(r *platformapi.Route) {
		r.Description = "The answer is false, too, for a name that no service can have."
	}), h.nameAvailable)
	platformapi.Register(api, with(op("GET /services/{id}", "getService", access.ViewTenant, tagServices, "Read a service"),
		func(r *platformapi.Route) {
			r.Description = "It has one definition for each version; the first is the one that is called without a version. Settings are shown to its account only."
		}), h.getService)
	platformapi.Register(api, with(op("DELETE /services/{id}", "deleteService", access.DeleteService, tagServices, "Delete a service"),
		func(r *platformapi.Route) {
			r.Description = "Its subscriptions end, and what waits or runs is cancelled."
		}), h.deleteService)
	openapi := op("GET /services/{id}/openapi", "getServiceOpenApi", access.ViewTenant, tagServices, "Read the description of a service's API")
	openapi.Description, openapi.Gives = openAPIText, openAPIContent()
	platformapi.Stream(api, openapi, h.getOpenAPI)
	upload := op("PUT /services/{id}/openapi", "uploadServiceOpenApi", access.Deploy, tagServices, "Upload a description of the current version's API")
	upload.Description = "It stands in the place of the one that the server makes of the code. An empty file brings that back."
	upload.Status, upload.Takes = http.StatusNoContent, platformapi.MultipartFile()
	platformapi.Stream(api, upload, h.uploadOpenAPI)
	platformapi.Register(api, with(op("PUT /services/{id}/publication", "publishService", access.Publish, tagServices, "Publish a service"),
		func(r *platformapi.Route) {
			r.Description = "INTERNAL: applications of the account may subscribe to it. PUBLIC: those of others, too. A service must have been built first. One that others are subscribed to does not become INTERNAL: a 409."
		}), h.publish)
	platformapi.Register(api, op("DELETE /services/{id}/publication", "unpublishService", access.Publish, tagServices, "Take a publication back"), h.unpublish)
	platformapi.Register(api, op("GET /services/{id}/statistics", "getServiceStatistics", access.ViewTenant, tagServices,
		"Count the subscriptions and executions of a service"), h.serviceStatistics)
	platformapi.Register(api, op("GET /services/{id}/subscriptions", "getServiceSubscriptions", access.ViewTenant, tagServices,
		"List the subscriptions of a service"), h.listSubscriptions)
}

func (h *Hub) marketplaceRoutes(api *platformapi.API) {
	platformapi.Register(api, op("GET /entitlements", "getEntitlements", access.ViewTenant, tagMarket, "Read the limits of the account"), h.accountEntitlements)
	platformapi.Register(api, with(op("GET /marketplace/services", "getMarketplaceServices", access.ViewTenant, tagMarket,
		"List the services that the account may subscribe to"), func(r *platformapi.Route) {
		r.Description = "Those that any account has published for all, and the account's own that are published for itself."
	}), h.listOffers)
	platformapi.Register(api, op("GET /marketplace/services/{id}", "getMarketplaceService", access.ViewTenant, tagMarket, "Read a published service"), h.getOffer)
	openapi := op("GET /marketplace/services/{id}/openapi", "getMarketplaceServiceOpenApi", access.ViewTenant, tagMarket, "Read the description of a published service's API")
	openapi.Description, openapi.Gives = openAPIText, openAPIContent()
	platformapi.Stream(api, openapi, h.getOfferOpenAPI)
}

// The description of a service, for the description of the platform API.
const openAPIText = "The answer is a JSON string that holds the document, as published clients read it, or the document itself where Accept names its media type."

func openAPIContent() []platformapi.Content {
	return append(platformapi.JSONOf[string](), platformapi.Content{Type: openAPIJSON}, platformapi.Content{Type: openAPIYAML})
}

func (h *Hub) textRoutes(api *platformapi.API) {
	platformapi.Register(api, op("PUT /services/{id}/display-name", "setServiceDisplayName", access.Deploy, tagServices, "Set the name that people see"), h.setDisplayName)
	platformapi.Register(api, op("PUT /services/{id}/summary", "setServiceSummary", access.Deploy, tagServices, "Set the summary"), h.setSummary)
	platformapi.Register(api, op("PUT /services/{id}/description", "setServiceDescription", access.Deploy, tagServices, "Set the description"), h.setDescription)
	platformapi.Register(api, op("PUT /services/{id}/contacts", "setServiceContacts", access.Deploy, tagServices, "Set the contacts"), h.setContacts)
	platformapi.Register(api, op("PUT /services/{id}/links", "setServiceLinks", access.Deploy, tagServices, "Set the links"), h.setLinks)
}

func (h *Hub) versionRoutes(api *platformapi.API) {
	platformapi.Register(api, op("GET /services/{id}/versions", "getServiceVersions", access.ViewTenant, tagVersions, "List the versions of a service"), h.listVersions)
	platformapi.Register(api, with(op("GET /services/{id}/revisions", "getServiceRevisions", access.ViewTenant, tagVersions,
		"List the revisions of a version, the newest first"), func(r *platformapi.Route) {
		r.Description = "Each build makes a revision, which never changes."
	}), h.listRevisions)
	platformapi.Register(api, op("GET /services/{id}/revisions/{revision}", "getServiceRevision", access.ViewTenant, tagVersions, "Read a revision"), h.getRevision)
	log := op("GET /services/{id}/revisions/{revision}/build-logs", "getServiceRevisionLog", access.ViewTenant, tagVersions, "Read the log of a build")
	log.Description, log.Gives = buildLogText, buildLogContent()
	platformapi.Stream(api, log, h.revisionLog)
	platformapi.Register(api, with(op("PUT /services/{id}/revisions/{revision}/activation", "activateServiceRevision", access.Deploy, tagVersions,
		"Make a revision the one that is called"), func(r *platformapi.Route) {
		r.Description = "This is the way back to an older one, too. Executions keep the revision that has accepted them."
	}), h.activate)
}

func (h *Hub) managedRoutes(api *platformapi.API) {
	create := op("POST /managed-services", "createManagedService", access.Deploy, tagManaged, "Make a service")
	create.Description = "It has the version 1.0.0 and no revision yet: upload its sources next."
	create.Status, create.Takes, create.Gives = http.StatusCreated, platformapi.JSONOf[managedBody](), platformapi.JSONOf[serviceView]()
	create.Errors = []int{http.StatusUnprocessableEntity}
	platformapi.Stream(api, create, h.createManaged)

	upload := op("PUT /managed-services/{id}/source/file", "uploadManagedServiceSource", access.Deploy, tagManaged, "Upload the sources, and begin a build")
	upload.Description = "The archive is checked before anything of it is written."
	upload.Status, upload.Takes = http.StatusNoContent, platformapi.MultipartFile()
	platformapi.Stream(api, upload, h.upload)

	download := op("GET /managed-services/{id}/source", "downloadManagedServiceSource", access.ViewTenant, tagManaged, "Download the sources that were uploaded last")
	download.Gives = []platformapi.Content{{Type: "application/zip"}}
	platformapi.Stream(api, download, h.download)

	platformapi.Register(api, with(op("PUT /managed-services/{id}/build", "buildManagedService", access.Deploy, tagManaged, "Begin a build"),
		func(r *platformapi.Route) { r.Description = "It is harmless while one works." }), h.build)
	platformapi.Register(api, op("GET /managed-services/{id}/build-status", "getManagedServiceBuildStatus", access.ViewTenant, tagManaged, "Tell how the newest build stands"), h.buildStatus)
	log := op("GET /managed-services/{id}/build-logs", "getManagedServiceBuildLogs", access.ViewTenant, tagManaged, "Read the log of the newest build")
	log.Description, log.Gives = buildLogText, buildLogContent()
	platformapi.Stream(api, log, h.buildLogs)

	runtime := op("PUT /managed-services/{id}/runtime-configuration", "setManagedServiceRuntime", access.Deploy, tagManaged, "Set the variables of executions")
	runtime.Description = "The map replaces the former one. Variables count from the next build on. Those whose names begin with SECRET_ are sealed, and count at once: they read back as [redacted], and writing that text keeps the value."
	runtime.Status, runtime.Takes = http.StatusNoContent, platformapi.JSONOf[runtimeView]()
	platformapi.Stream(api, runtime, h.configureRuntime)
	platformapi.Register(api, op("PUT /managed-services/{id}/resource-configuration", "setManagedServiceResource", access.Deploy, tagManaged, "Set one limit of executions"), h.configureResource)

	deploy := op("POST /deployments", "deploy", access.Deploy, tagManaged, "Upload sources for a version of a service, and begin a build")
	deploy.Description = "The service and the version are made if need be. Nothing is made of an archive that is refused."
	deploy.Status, deploy.Gives = http.StatusCreated, platformapi.JSONOf[deploymentView]()
	deploy.Takes = []platformapi.Content{{Type: "application/zip"}}
	platformapi.Stream(api, deploy, h.deploy)
}

func (h *Hub) jobRoutes(api *platformapi.API) {
	start := op("POST /service-jobs", "createServiceJob", access.RunJob, tagJobs, "Run a service of the account")
	start.Description = "It needs no publication and no subscription. Secrets come in input, under $secrets. A repeated Idempotency-Key gives the first job."
	start.Status, start.Takes, start.Gives = http.StatusCreated, platformapi.JSONOf[jobBody](), platformapi.JSONOf[job]()
	platformapi.Stream(api, start, h.startJob)
	platformapi.Register(api, op("GET /service-jobs", "getServiceJobs", access.ViewTenant, tagJobs, "List the jobs that members of the account have started"), h.listJobs)
	platformapi.Register(api, op("GET /service-jobs/{id}", "getServiceJob", access.ViewTenant, tagJobs, "Read a job"), h.getJob)
	rerun := op("POST /service-jobs/{id}/rerun", "rerunServiceJob", access.RunJob, tagJobs, "Run a job again that has kept its input")
	rerun.Description = "It has the same input and tags, and runs the current version. Secrets that the server has not kept come in the body, which may be left out otherwise."
	rerun.Status, rerun.Takes, rerun.Gives = http.StatusCreated, platformapi.JSONOf[rerunBody](), platformapi.JSONOf[job]()
	rerun.MayTakeNothing = true
	platformapi.Stream(api, rerun, h.rerunJob)
}

func (h *Hub) activityRoutes(api *platformapi.API) {
	platformapi.Register(api, with(op("GET /services/{id}/activity", "getServiceActivity", access.ViewTenant, tagServices,
		"Read how the latest executions of a service went"), func(r *platformapi.Route) {
		r.Description = "Those that the account and its applications have started."
	}), h.serviceActivity)
}

func (h *Hub) executionRoutes(api *platformapi.API) {
	platformapi.Register(api, op("GET /service-executions", "getServiceExecutions", access.ViewTenant, tagJobs,
		"List the executions that members and applications of the account have started"), h.listExecutions)
	platformapi.Register(api, op("GET /service-executions/{id}", "getServiceExecution", access.ViewTenant, tagJobs, "Read an execution"), h.getExecution)
	platformapi.Register(api, op("PUT /service-executions/{id}/cancel", "cancelServiceExecution", access.RunJob, tagJobs, "Cancel an execution"), h.cancelExecution)
	result := op("GET /service-executions/{id}/results", "getServiceExecutionResult", access.ViewTenant, tagJobs, "Read the result of an execution")
	result.Description = "It has the members of the result, and links to its files. The answer is 204, with Retry-After, while there is none."
	result.Gives, result.MayBeEmpty = platformapi.JSONOf[map[string]any](), true
	platformapi.Stream(api, result, h.executionResult)
	file := op("GET /service-executions/{id}/results/{file...}", "getServiceExecutionResultFile", access.ViewTenant, tagJobs, "Download a file of a result")
	file.Description, file.Gives = "Links of the result name its files; so does the error of a name that does not exist.", []platformapi.Content{{Type: "application/octet-stream"}}
	platformapi.Stream(api, file, h.executionFile)
	platformapi.Register(api, op("GET /service-executions/{id}/logs", "getServiceExecutionLogs", access.ViewTenant, tagJobs, "Read the log of an execution"), h.executionLog)
	platformapi.Register(api, with(op("GET /service-executions/{id}/timeline", "getServiceExecutionTimeline", access.ViewTenant, tagJobs,
		"Read when an execution was accepted, has started and has ended"), func(r *platformapi.Route) {
		r.Description = "The times of other routes are whole seconds."
	}), h.executionTimeline)
	events := op("GET /service-executions/{id}/events", "getServiceExecutionEvents", access.ViewTenant, tagJobs, "Follow the log and the state of an execution")
	events.Description = "An event \"log\" for each line, and an event \"status\" at first and with each change of the state. The last one has a final state."
	events.Gives, events.MayBeEmpty = []platformapi.Content{{Type: "text/event-stream"}}, true
	platformapi.Stream(api, events, h.executionEvents)
	platformapi.Register(api, with(op("GET /service-executions/{id}/lineage", "getServiceExecutionLineage", access.ViewTenant, tagJobs,
		"List the executions that were started in an execution"), func(r *platformapi.Route) {
		r.Description = "An execution is started in another one by its token, or by X-Parent-Execution-Token. Those of other accounts are left out."
	}), h.executionLineage)
	platformapi.Register(api, op("GET /service-executions/{id}/metrics", "getServiceExecutionMetrics", access.ViewTenant, tagJobs, "Read the usage of an execution"), h.executionMetrics)
	platformapi.Register(api, with(op("GET /service-executions/{id}/costs", "getServiceExecutionCosts", access.ViewTenant, tagJobs,
		"Read the costs of an execution"), func(r *platformapi.Route) { r.Description = "There are none: nothing is sold here." }), h.executionCosts)
}

// readyPatience is how long a probe waits for the database.
const readyPatience = 2 * time.Second

// isReady reports whether the server takes requests and its database answers.
func (h *Hub) isReady(ctx context.Context) bool {
	ctx, end := context.WithTimeout(ctx, readyPatience)
	defer end()
	return h.ready.Load() && h.Server.Ready(ctx) == nil
}

func (h *Hub) serverRoutes(api *platformapi.API) {
	h.documentRoutes(api)
	for _, probe := range []struct {
		path, id, summary string
		ok                func(context.Context) bool
	}{
		{"/healthz", "isAlive", "Tell whether the server answers", func(context.Context) bool { return true }},
		{"/readyz", "isReady", "Tell whether the server takes requests", h.isReady},
	} {
		platformapi.Stream(api, platformapi.Route{
			Method: http.MethodGet, Path: probe.path, ID: probe.id, Summary: probe.summary, Tag: tagServer, Public: true,
			Gives:    []platformapi.Content{{Type: "text/plain"}},
			Refusals: map[int][]platformapi.Content{http.StatusServiceUnavailable: {{Type: "text/plain"}}},
		}, func(ctx context.Context, _ *none, w http.ResponseWriter, _ *http.Request) error {
			status, text := http.StatusOK, "ok\n"
			if !probe.ok(ctx) {
				status, text = http.StatusServiceUnavailable, "not ready\n"
			}
			platformapi.WriteText(w, status, "text/plain; charset=utf-8", []byte(text))
			return nil
		})
	}
}
