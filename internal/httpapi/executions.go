package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/elnormous/contenttype"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// list answers with a page of the executions. The Link header has the address of
// the next page.
func (a *API) list(w http.ResponseWriter, r *http.Request) error {
	offers := []contenttype.MediaType{typeJSON}
	if a.Home != "" {
		offers = append(offers, typeHTML)
	}
	picked, err := negotiate(w, r, offers...)
	if err != nil {
		return err
	}
	if picked.Equal(typeHTML) { // a person with a browser
		http.Redirect(w, r, a.Base+a.Home, http.StatusSeeOther)
		return nil
	}
	query := r.URL.Query()
	q := store.ListQuery{Tag: query.Get("tag"), After: store.Cursor(query.Get("after"))}
	if text := query.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > store.DefaultPage {
			return problem(http.StatusBadRequest, fmt.Sprintf("limit must be a number from 1 to %d.", store.DefaultPage))
		}
	}
	page, err := a.Service.List(r.Context(), q)
	if err != nil {
		return err
	}
	if page.Next != "" {
		query.Set("after", string(page.Next))
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", a.root(), query.Encode()))
	}
	if page.Executions == nil {
		page.Executions = []execution.Execution{} // [] rather than null
	}
	return writeJSON(w, http.StatusOK, page.Executions)
}

// start accepts an execution.
func (a *API) start(w http.ResponseWriter, r *http.Request) error {
	if _, err := negotiate(w, r, typeJSON); err != nil {
		return err
	}
	if err := checkJSON(r); err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	body, err := a.readBody(w, r)
	defer body.free()
	if err != nil {
		return err
	}
	accepted, err := a.Service.Submit(r.Context(), engine.Submission{Body: body.text, IdempotencyKey: key})
	if err != nil {
		return err
	}
	w.Header().Set("Location", a.address(accepted.Execution.ID))
	if accepted.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	return writeJSON(w, http.StatusCreated, accepted.Execution)
}

// maxKey bounds an idempotency key, which is kept with the execution.
const maxKey = 255

func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if len(values) > 1 || key == "" || len(key) > maxKey || !printable(key) {
		return "", problem(http.StatusBadRequest, fmt.Sprintf("Idempotency-Key must be one value of 1 to %d printable ASCII characters.", maxKey))
	}
	return key, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// status answers with the state of an execution. With ?wait= it waits for the end.
// Without it, it holds a poll that follows the acceptance or another poll too soon.
func (a *API) status(w http.ResponseWriter, r *http.Request) error {
	if _, err := negotiate(w, r, typeJSON); err != nil {
		return err
	}
	id, err := requestID(r)
	if err != nil {
		return err
	}
	wait, given, err := a.waitTime(r.URL.Query())
	if err != nil {
		return err
	}
	var e execution.Execution
	if wait == 0 {
		e, err = a.Service.Get(r.Context(), id)
		if err == nil && !given && !e.Status.Final() {
			wait = a.pollHold(e)
		}
	}
	if err == nil && wait > 0 {
		e, err = a.waitFor(r.Context(), id, wait)
	}
	if err != nil {
		return err
	}
	if !given && !e.Status.Final() {
		a.pollTimes.record(id)
	}
	return writeJSON(w, http.StatusOK, e)
}

// waitFor reads an execution when it has ended, or after the wait time.
func (a *API) waitFor(ctx context.Context, id execution.ID, wait time.Duration) (execution.Execution, error) {
	ctx, stop := a.patience(ctx, wait)
	defer stop()
	return a.Service.Wait(ctx, id)
}

// waitTime reads the wait parameter, such as 30s or a number of seconds, and reports
// whether there is one. It reduces a longer time to the limit: the client can repeat
// the request.
func (a *API) waitTime(query url.Values) (wait time.Duration, given bool, err error) {
	text := query.Get("wait")
	if text == "" {
		return 0, false, nil
	}
	wait, err = time.ParseDuration(text)
	if seconds, numeric := strconv.ParseUint(text, 10, 31); numeric == nil {
		wait, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || wait < 0 {
		return 0, true, problem(http.StatusBadRequest, "wait must be a time such as 30s, or a number of seconds.")
	}
	return min(wait, a.Limits.Wait), true, nil
}

// patience returns a context that ends after the limit, or when the server begins
// to shut down.
func (a *API) patience(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(a.draining, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// cancel cancels an execution. One that has ended stays unchanged.
func (a *API) cancel(w http.ResponseWriter, r *http.Request) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	if _, err := a.Service.Cancel(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
