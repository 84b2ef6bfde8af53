package engine

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// A Revision is one revision of a service. It is immutable once an engine has
// it ([Service.Activate]).
type Revision struct {
	// ID tells the revisions of a service apart, such as by a hash of its sources.
	ID string
	// Name, Version and Description are for people.
	Name, Version, Description string
	Signature                  *signature.Signature
	// Runner starts its executions. The engine closes it: under [FollowNewest]
	// when another revision has taken the place and the last execution has ended,
	// else at the end. Nil: Load makes one.
	Runner runner.Runner
	// Load makes a runner when an execution needs one. The engine closes it after
	// [Config].RunnerIdle without executions, and loads it again for the next.
	Load      RunnerFactory
	Limits    Limits
	Resolvers Resolvers
}

// A RunnerFactory makes the runner of a revision. Should ctx end before, it
// returns an error.
type RunnerFactory func(ctx context.Context, r *Revision) (runner.Runner, error)

// defaultGrace is as long as other platforms give.
const defaultGrace = 10 * time.Second

// Limits bound the executions of a service. Zero means no bound, except for
// Grace and Log, which have defaults.
type Limits struct {
	// Concurrency is how many run at once, in all processes together.
	Concurrency int
	// Time is how long one may run.
	Time time.Duration
	// Grace is how long one may take to end when it is asked to.
	Grace time.Duration
	// Output is how many bytes one may leave as its result.
	Output int64
	// Memory is how many bytes the processes of one may take together, and
	// Processes how many they may be.
	Memory    int64
	Processes int
	// CPU is how many cores one may use, OpenFiles how many files each of its
	// processes may have open, Temp how many bytes its home and its temporary
	// folder may hold, each. They slow or refuse, and end nothing.
	CPU       float64
	OpenFiles int
	Temp      int64
	// CPUTime is how long the processors may work for one.
	CPUTime time.Duration
	// Log is how many bytes one may have in its log.
	Log int64
}

// Resolvers are what the server itself provides where a request leaves it out.
type Resolvers struct {
	// Secret finds the value of a secret, and says where it is from. It is
	// asked when an execution starts, so that a new value counts at once, and
	// whether there is one also when a request comes. The value stays the
	// function's own: the engine works with a copy. Nil: there are none.
	Secret func(signature.Parameter) (value plaintext.Bytes, origin string, ok bool)
	// Masked are values that no log may show, given to an execution or not,
	// such as those in a file that a service may read, by the names
	// of their variables. Results are masked for those of variables that the
	// service declares. They stay the function's own. Nil: there are none.
	Masked func() []plaintext.Named
	// DataPool finds the folder of a data pool, empty if there is none; the
	// reference is nil where the request has none. It returns an error, for the
	// caller to read, if executions could not use the pool. Nil: there are none.
	DataPool func(signature.Parameter, *signature.DataPoolReference) (dir string, err error)
}

// Has reports whether a request may leave the parameter out.
func (d Resolvers) Has(p signature.Parameter) bool {
	switch p.Kind {
	case signature.Secret:
		if d.Secret == nil {
			return false
		}
		_, _, ok := d.Secret(p)
		return ok
	case signature.DataPool:
		dir, err := d.dataPool(p, nil)
		return dir != "" || err != nil // which accept reports
	default:
		return false
	}
}

func (d Resolvers) dataPool(p signature.Parameter, reference *signature.DataPoolReference) (dir string, err error) {
	if d.DataPool == nil {
		return "", nil
	}
	return d.DataPool(p, reference)
}

// RequestSignature is what a request must bring: the signature, with all that
// the server provides optional. It changes when that does.
func (r *Revision) RequestSignature() *signature.Signature {
	return r.Signature.WithOptional(r.Resolvers.Has)
}

// accept validates a body, in which all may be missing that the server
// provides.
func (r *revision) accept(body []byte) (*signature.Request, error) {
	validator, err := r.validator()
	if err != nil {
		return nil, err
	}
	request, err := validator.WithOptional(r.Resolvers.Has).Request(body)
	if err != nil {
		return nil, err
	}
	var errs signature.Errors
	for _, p := range r.Signature.Of(signature.DataPool) {
		var reference *signature.DataPoolReference
		if given, ok := request.DataPools[p.Name]; ok {
			reference = &given
		}
		switch dir, err := r.Resolvers.dataPool(p, reference); {
		case err != nil:
			errs = append(errs, signature.FieldError{Path: p.Name, Message: err.Error()})
		case dir == "" && reference != nil:
			errs = append(errs, signature.FieldError{Path: p.Name, Message: "this server has no such data pool"})
		}
	}
	if len(errs) > 0 {
		request.Clear()
		return nil, errs
	}
	return request, nil
}
