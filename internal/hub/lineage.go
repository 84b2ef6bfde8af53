package hub

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// parentHeader has the token of the execution that a request is made in. It gives no
// right: the lineage shows it.
const parentHeader = "X-Parent-Execution-Token"

type parentKey struct{}

// inParent notes the execution that a request is made in. A token that is not valid is
// passed over: services send theirs to every platform that they call.
func (h *Hub) inParent(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	id, err := h.Access.ExecutionOf(ctx, token)
	if err != nil {
		h.Log.Debug("the token of a parent execution is not valid", "error", err)
		return ctx
	}
	return context.WithValue(ctx, parentKey{}, execution.ID(id))
}

// parentOf is the execution that a request is made in; empty: none.
func parentOf(ctx context.Context) execution.ID {
	id, _ := ctx.Value(parentKey{}).(execution.ID)
	return id
}

// lineage is an execution with those that were started in it.
type lineage struct {
	Nodes     []lineageNode `json:"nodes" doc:"In the order of their creation."`
	Truncated bool          `json:"truncated" doc:"There are more; the nodes are those nearest to the execution."`
}

// lineageNode is an execution in a lineage.
type lineageNode struct {
	ID        execution.ID     `json:"id"`
	Type      execution.Type   `json:"type"`
	Status    execution.Status `json:"status"`
	CreatedAt *string          `json:"createdAt"`
	StartedAt *string          `json:"startedAt"`
	EndedAt   *string          `json:"endedAt"`
	ServiceID string           `json:"serviceId"`
	Tags      []string         `json:"tags"`
	ParentID  execution.ID     `json:"parentId,omitempty" doc:"Absent of the execution that was asked for."`
}

// maxLineage bounds a lineage.
const maxLineage = 1000

// executionLineage answers with the executions of the account that were started in one.
func (h *Hub) executionLineage(ctx context.Context, in *ByExecution) (*platformapi.Body[lineage], error) {
	_, root, _, err := h.execution(ctx, in)
	if err != nil {
		return nil, err
	}
	list, err := h.store.Descendants(ctx, access.From(ctx).Tenant, root.ID, maxLineage+1)
	if err != nil {
		return nil, err
	}
	answer, services := lineage{Nodes: []lineageNode{}, Truncated: len(list) > maxLineage}, map[string]string{}
	for _, e := range list[:min(len(list), maxLineage)] {
		e = h.shownIn(ctx, services, e)
		node := lineageNode{
			ID: e.ID, Type: e.Type, Status: e.Status, CreatedAt: formatTime(e.CreatedAt), StartedAt: formatTime(e.StartedAt), EndedAt: formatTime(e.EndedAt),
			ServiceID: e.ServiceID, Tags: append([]string{}, e.Tags...),
		}
		if e.ID != root.ID {
			node.ParentID = e.ParentID
		}
		answer.Nodes = append(answer.Nodes, node)
	}
	return &platformapi.Body[lineage]{Body: answer}, nil
}

// usage are the metrics of an execution.
type usage struct {
	ID          execution.ID `json:"serviceExecutionId"`
	CPUUsage    []point      `json:"cpuUsage" doc:"Empty: this server does not record the usage of single executions."`
	CPULimit    []point      `json:"cpuLimit" doc:"Empty, too."`
	MemoryUsage []point      `json:"memoryUsage" doc:"Empty, too."`
	MemoryLimit []point      `json:"memoryLimit" doc:"Empty, too."`
}

type point struct {
	Timestamp int64   `json:"timestamp"`
	Value     float64 `json:"value"`
}

func (h *Hub) executionMetrics(ctx context.Context, in *ByExecution) (*platformapi.Body[usage], error) {
	_, e, _, err := h.execution(ctx, in)
	if err != nil {
		return nil, err
	}
	return &platformapi.Body[usage]{Body: usage{ID: e.ID, CPUUsage: []point{}, CPULimit: []point{}, MemoryUsage: []point{}, MemoryLimit: []point{}}}, nil
}

// executionCosts answers with nothing: nothing is sold here.
func (h *Hub) executionCosts(ctx context.Context, in *ByExecution) (*none, error) {
	_, _, _, err := h.execution(ctx, in)
	return nil, err
}
