package execution

import (
	"errors"
	"fmt"
	"slices"
)

// Status is a state of an execution, in the words of the Service API.
type Status string

// The states. Unknown is what precedes acceptance; no stored execution has it.
const (
	Unknown   Status = "UNKNOWN"
	Pending   Status = "PENDING"
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Cancelled Status = "CANCELLED"
	Failed    Status = "FAILED"
)

// transitions lists, for every state, the states that may follow it.
var transitions = map[Status][]Status{
	Unknown: {Pending},
	// FAILED without ever running: its secrets cannot be opened, for example, or
	// its folders cannot be made.
	Pending:   {Running, Cancelled, Failed},
	Running:   {Succeeded, Cancelled, Failed},
	Succeeded: {},
	Cancelled: {},
	Failed:    {},
}

// ErrTransition is matched by the error of every illegal [Transition].
var ErrTransition = errors.New("illegal change of state")

// Transition reports whether an execution may go from one state to another.
// Its error matches [ErrTransition].
func Transition(from, to Status) error {
	next, known := transitions[from]
	switch {
	case !known:
		return fmt.Errorf("%w: %q is no state of an execution", ErrTransition, string(from))
	case slices.Contains(next, to):
		return nil
	case len(next) == 0:
		return fmt.Errorf("%w: an execution that is %s stays so and cannot become %s", ErrTransition, from, to)
	default:
		return fmt.Errorf("%w: an execution that is %s cannot become %s", ErrTransition, from, to)
	}
}

// Statuses lists all states in the order in which they can be reached.
func Statuses() []Status {
	return []Status{Unknown, Pending, Running, Succeeded, Cancelled, Failed}
}

// ParseStatus reads a state as a caller writes it.
func ParseStatus(s string) (Status, error) {
	if !Status(s).Valid() {
		return Unknown, fmt.Errorf("%q is no state of an execution; the states are %v", s, Statuses())
	}
	return Status(s), nil
}

// Valid reports whether s is one of the states.
func (s Status) Valid() bool {
	_, ok := transitions[s]
	return ok
}

// Final reports whether no other state can follow.
func (s Status) Final() bool {
	next, ok := transitions[s]
	return ok && len(next) == 0
}
