package seccomp

// Decider is the verdict of the table about a call by its number, without a filter.
func Decider(a Arch, p Profile) (func(number uint32, args [6]uint64) Action, error) {
	calls, err := numbered(a)
	if err != nil {
		return nil, err
	}
	known := map[uint32][]clause{}
	for _, c := range calls {
		known[uint32(c.Numbers[a])] = c.rule(p)
	}
	return func(number uint32, args [6]uint64) Action {
		if rule, ok := known[number]; ok {
			return decide(rule, args)
		}
		return Unknown
	}, nil
}

func decide(rule []clause, args [6]uint64) Action {
clauses:
	for _, c := range rule {
		for _, cond := range c.when {
			if !cond.holds(args) {
				continue clauses
			}
		}
		return c.then
	}
	panic("a rule without an end")
}

func (c condition) holds(args [6]uint64) bool {
	among := false
	for _, value := range c.values {
		among = among || uint32(args[c.arg])&c.mask == value
	}
	return among != c.none
}

// Values are what the rule of a call compares an argument with, and Audit is an
// architecture as a filter sees it.
func Values(name string, p Profile) map[int][]uint64 {
	values := map[int][]uint64{}
	if rules[name] == nil {
		return values
	}
	for _, c := range rules[name](p) {
		for _, cond := range c.when {
			for _, value := range cond.values {
				values[cond.arg] = append(values[cond.arg], uint64(value))
			}
			values[cond.arg] = append(values[cond.arg], uint64(cond.mask))
		}
	}
	return values
}

func (a Arch) Audit() uint32 { return a.audit() }
