package workspace

import (
	"regexp"
	"strconv"
	"strings"
)

// A pythonVersion is the numbers of a version, such as 3.12.1.
type pythonVersion []int

var versionNumbers = regexp.MustCompile(`^[vV]?(\d+(?:\.\d+)*)`)

// asVersion reads the numbers at the head of a version; nil if there are none.
// A suffix such as rc1 does not count.
func asVersion(text string) pythonVersion {
	found := versionNumbers.FindStringSubmatch(strings.TrimSpace(text))
	if found == nil {
		return nil
	}
	var v pythonVersion
	for part := range strings.SplitSeq(found[1], ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		v = append(v, n)
	}
	return v
}

func (v pythonVersion) at(i int) int {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// compare takes missing numbers for zeros.
func (v pythonVersion) compare(other pythonVersion) int {
	for i := range max(len(v), len(other)) {
		if d := v.at(i) - other.at(i); d != 0 {
			return d
		}
	}
	return 0
}

// begins reports whether the numbers of prefix are the first ones of v.
func (v pythonVersion) begins(prefix pythonVersion) bool {
	for i, n := range prefix {
		if v.at(i) != n {
			return false
		}
	}
	return true
}

func (v pythonVersion) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

var specifier = regexp.MustCompile(`^(===|~=|==|!=|<=|>=|<|>)\s*([^\s]+)$`)

// allows reports whether version specifiers such as ">=3.10,<4" allow a version;
// ok is false if they cannot be read.
func allows(specifiers string, v pythonVersion) (allowed, ok bool) {
	allowed = true
	for part := range strings.SplitSeq(specifiers, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		found := specifier.FindStringSubmatch(part)
		if found == nil {
			return false, false
		}
		wanted, wildcard := strings.CutSuffix(found[2], ".*")
		bound := asVersion(wanted)
		if bound == nil {
			return false, false
		}
		allowed = allowed && allowsOne(found[1], bound, wildcard, v)
	}
	return allowed, true
}

func allowsOne(operator string, bound pythonVersion, wildcard bool, v pythonVersion) bool {
	order := v.compare(bound)
	switch operator {
	case "==", "===":
		return wildcard && v.begins(bound) || !wildcard && order == 0
	case "!=":
		return !allowsOne("==", bound, wildcard, v)
	case "~=":
		return order >= 0 && v.begins(bound[:max(len(bound)-1, 1)])
	case "<=":
		return order <= 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	default:
		return order > 0
	}
}
