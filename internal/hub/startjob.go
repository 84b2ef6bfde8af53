package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// members are those of a JSON object.
type members map[string]json.RawMessage

// clear wipes the values: secrets may be among them.
func (m members) clear() {
	for _, value := range m {
		clear(value)
	}
}

// jobBody starts a job.
type jobBody struct {
	ServiceID  string   `json:"serviceId"`
	Input      members  `json:"input" required:"false" doc:"The parameters by their names; secrets are members of $secrets."`
	Tags       []string `json:"tags" required:"false"`
	StoreInput bool     `json:"storeInput" required:"false" doc:"Keep the input with the job, without secrets, to read it and to run it again."`
}

// rerunBody runs a job again.
type rerunBody struct {
	Secrets members `json:"$secrets" required:"false" doc:"The secrets of the job by their names, as its input has had them."`
}

type jobInput struct {
	Key    string `header:"Idempotency-Key" doc:"A repeated key of the same caller gives the first job."`
	Parent string `header:"X-Parent-Execution-Token" doc:"The token of the execution that this job is started in."`
}

// A job is an execution with the input that it has kept.
type job struct {
	execution.Execution
	input *string
}

// MarshalJSON implements [json.Marshaler].
func (j job) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(j.Execution)
	if err != nil || j.input == nil {
		return text, err
	}
	input, err := json.Marshal(*j.input)
	return append(append(append(text[:len(text)-1], `,"input":`...), input...), '}'), err
}

// kept is what a job keeps of its request.
type kept struct {
	Input json.RawMessage `json:"input"`
	// Secrets are the names of those that came with it.
	Secrets []string `json:"secrets,omitempty"`
}

// startJob starts an execution of a service of the caller's tenant.
func (h *Hub) startJob(ctx context.Context, in *jobInput, w http.ResponseWriter, r *http.Request) error {
	var body jobBody
	err := platformapi.ReadJSON(w, r, &body)
	defer body.Input.clear()
	if err != nil {
		return err
	}
	s, err := h.own(ctx, body.ServiceID)
	if err != nil {
		return err
	}
	return h.submitJob(h.inParent(ctx, in.Parent), w, s, &body, in.Key)
}

// rerunJob starts a job again that has kept its input.
func (h *Hub) rerunJob(ctx context.Context, in *ByExecution, w http.ResponseWriter, r *http.Request) error {
	var given rerunBody
	err := platformapi.ReadJSON(w, r, &given)
	if errors.Is(err, platformapi.ErrNoBody) {
		err = nil
	}
	defer given.Secrets.clear()
	if err != nil {
		return err
	}
	_, e, _, err := h.execution(ctx, in)
	if err != nil {
		return err
	}
	document, err := h.store.Kept(ctx, e.ID)
	if errors.Is(err, store.ErrNotFound) {
		return problem(http.StatusBadRequest, "The job did not keep its input (storeInput), so it cannot run again.")
	}
	var former kept
	if err == nil {
		err = json.Unmarshal(document, &former)
	}
	body := jobBody{Tags: e.Tags, StoreInput: true}
	if err == nil {
		err = json.Unmarshal(former.Input, &body.Input)
	}
	if err != nil {
		return err
	}
	s, err := h.own(ctx, e.ServiceID)
	if err == nil {
		err = h.wantSecrets(ctx, s, former.Secrets, given.Secrets)
	}
	if err != nil {
		return err
	}
	if len(given.Secrets) > 0 {
		text, err := json.Marshal(given.Secrets)
		if err != nil {
			return err
		}
		body.Input[signature.SecretsKey] = text
	}
	defer body.Input.clear()
	return h.submitJob(ctx, w, s, &body, "")
}

// wantSecrets reports the secrets of a former request that neither this one has nor the
// server.
func (h *Hub) wantSecrets(ctx context.Context, s registry.Service, former []string, given members) error {
	_, r, err := h.callable(ctx, s)
	if err != nil {
		return err
	}
	var missing []string
	for _, name := range former {
		if given[name] != nil {
			continue
		}
		p, ok := r.Signature.Lookup(name)
		if !ok {
			continue // the service takes it no more
		}
		has, err := r.Resolvers.Has(ctx, p)
		if err != nil {
			return err
		}
		if !has {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return problem(http.StatusBadRequest, fmt.Sprintf("The job had secrets that the server did not keep: %s. Send them again as members of $secrets.", strings.Join(missing, ", ")))
}

// callable is the current version of a service, and its revision.
func (h *Hub) callable(ctx context.Context, s registry.Service) (registry.Version, *engine.Revision, error) {
	v, err := h.current(ctx, s)
	if err == nil {
		err = h.Revisions.ensure(ctx, v.ID)
	}
	if err != nil {
		return v, nil, err
	}
	r, ok := h.Server.Engine().Service(v.ID).Current()
	if !ok {
		err = registry.ErrNotFound
	}
	return v, r, err
}

// submitJob starts a job, and answers with it.
func (h *Hub) submitJob(ctx context.Context, w http.ResponseWriter, s registry.Service, body *jobBody, key string) error {
	v, _, err := h.callable(ctx, s)
	if err != nil {
		return err
	}
	if body.Input == nil {
		body.Input = members{}
	}
	audit.Note(ctx, "service", s.Name)
	submission := engine.Submission{IdempotencyKey: key}
	var input *string
	if body.StoreInput {
		former, err := body.keep()
		if err != nil {
			return err
		}
		if submission.Kept, err = json.Marshal(former); err != nil {
			return err
		}
		text := string(former.Input)
		input = &text
	}
	if len(body.Tags) > 0 {
		if body.Input[signature.TagsKey], err = json.Marshal(body.Tags); err != nil {
			return err
		}
	}
	if submission.Body, err = json.Marshal(body.Input); err != nil {
		return problem(http.StatusBadRequest, "input is not a JSON object.")
	}
	ctx, w, end := h.repeats.watch(ctx, w)
	defer end()
	accepted, err := h.scope(s, v).Submit(ctx, submission)
	if err != nil {
		return err
	}
	w.Header().Set("Location", catalog+"/service-jobs/"+accepted.Execution.ID.String())
	return platformapi.WriteJSON(w, http.StatusCreated, job{accepted.Execution, input})
}

// keep is what a job keeps of its input: all but secrets, tags and the grants of data
// pools, which are credentials. An input that has a secret elsewhere is refused.
func (b *jobBody) keep() (kept, error) {
	var secrets members
	if given := b.Input[signature.SecretsKey]; given != nil {
		if err := json.Unmarshal(given, &secrets); err != nil {
			return kept{}, problem(http.StatusBadRequest, "input.$secrets must be an object.")
		}
	}
	defer secrets.clear()
	rest := maps.Clone(b.Input)
	delete(rest, signature.SecretsKey)
	delete(rest, signature.TagsKey)
	for name, value := range rest {
		rest[name] = withoutGrant(value)
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return kept{}, problem(http.StatusBadRequest, "input is not a JSON object.")
	}
	for name, raw := range secrets {
		value, err := jsontext.AppendUnquote(nil, raw)
		holds := err == nil && shows(name, value, text)
		clear(value)
		if holds {
			return kept{}, problem(http.StatusBadRequest, "The value of the secret "+name+" stands elsewhere in input, too, so the input cannot be kept (storeInput).")
		}
	}
	return kept{Input: text, Secrets: slices.Sorted(maps.Keys(secrets))}, nil
}

// storeInputHeader asks to keep the input of an execution of the Service API, as storeInput
// does for a job. The form of a service sends it.
const storeInputHeader = "X-Store-Input"

type storeInputKey struct{}

// keepInput is what an execution keeps of its request; nil if that has a secret outside
// $secrets, or is not an object.
func keepInput(body []byte) []byte {
	var request jobBody
	if json.Unmarshal(body, &request.Input) != nil {
		return nil
	}
	defer request.Input.clear()
	former, err := request.keep()
	if err != nil {
		return nil
	}
	text, err := json.Marshal(former)
	if err != nil {
		return nil
	}
	return text
}

// shows reports whether a text has a secret in any form.
func shows(name string, value, text []byte) bool {
	masker := redact.New([]redact.Secret{masking.Secret(plaintext.Named{Name: name, Value: plaintext.New(bytes.Clone(value))})})
	defer masker.Clear()
	return masker.Contains(text)
}

// withoutGrant is a reference to a data pool without its grant; other values stay.
func withoutGrant(value json.RawMessage) json.RawMessage {
	var reference members
	var kind string
	if json.Unmarshal(value, &reference) != nil || json.Unmarshal(reference["ref"], &kind) != nil || !strings.EqualFold(kind, "DATAPOOL") || reference["grant"] == nil {
		return value
	}
	delete(reference, "grant")
	text, err := json.Marshal(reference)
	if err != nil {
		return value
	}
	return text
}

// getJob is an execution with the input that it has kept.
func (h *Hub) getJob(ctx context.Context, in *ByExecution) (*platformapi.Body[job], error) {
	_, e, _, err := h.execution(ctx, in)
	if err != nil {
		return nil, err
	}
	answer := job{Execution: e}
	document, err := h.store.Kept(ctx, e.ID)
	if errors.Is(err, store.ErrNotFound) {
		return &platformapi.Body[job]{Body: answer}, nil
	}
	var former kept
	if err == nil {
		err = json.Unmarshal(document, &former)
	}
	if err != nil {
		return nil, err
	}
	text := string(former.Input)
	answer.input = &text
	return &platformapi.Body[job]{Body: answer}, nil
}
