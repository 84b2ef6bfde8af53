package hub

import (
	"encoding/json"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// A starter is the person, the application or the execution that has started an execution.
type starter struct {
	Kind string `json:"kind" enum:"PERSON,APPLICATION,EXECUTION,UNKNOWN" doc:"UNKNOWN: an older program has accepted the execution, for a person."`
	ID   string `json:"id,omitempty"`
}

func starterOf(e execution.Execution) starter {
	switch {
	case e.ApplicationID != "":
		return starter{"APPLICATION", e.ApplicationID}
	case e.ParentID != "":
		return starter{"EXECUTION", string(e.ParentID)}
	case e.PersonID != "":
		return starter{"PERSON", e.PersonID}
	default:
		return starter{Kind: "UNKNOWN"}
	}
}

// A listedExecution is an execution in a list, with its starter.
type listedExecution struct{ execution.Execution }

// MarshalJSON implements [json.Marshaler].
func (l listedExecution) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(l.Execution)
	if err != nil {
		return nil, err
	}
	by, err := json.Marshal(starterOf(l.Execution))
	return append(append(append(text[:len(text)-1], `,"startedBy":`...), by...), '}'), err
}

// listedExecutionView is a listedExecution in the description.
type listedExecutionView struct {
	executionView
	StartedBy starter `json:"startedBy"`
}
