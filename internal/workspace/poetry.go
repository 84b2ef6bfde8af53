package workspace

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// poetryDependencies are the entries of [tool.poetry.dependencies] that name
// packages: optional ones are left out. One name may have several.
func poetryDependencies(project document) map[string][]document {
	all := map[string][]document{}
	for name, entries := range poetryEntries(project.table("tool", "poetry", "dependencies")) {
		for _, entry := range entries {
			if !entry.bool("optional") {
				all[name] = append(all[name], entry)
			}
		}
	}
	return all
}

// poetryEntries are the packages of a table of dependencies.
func poetryEntries(dependencies document) map[string][]document {
	all := map[string][]document{}
	for name, value := range dependencies {
		switch value := value.(type) {
		case string:
			all[name] = []document{{"version": value}}
		case map[string]any:
			all[name] = []document{value}
		default:
			all[name] = dependencies.tables(name)
		}
	}
	delete(all, "python")
	return all
}

// poetrySources records the packages that a Poetry project takes from folders and
// repositories, also those that are not installed here, and returns the names of
// the installed ones.
func (l *localPackages) poetrySources(dir string, project document) []string {
	poetry := project.table("tool", "poetry")
	tables := []document{poetry.table("dependencies"), poetry.table("dev-dependencies")}
	for name := range poetry.table("group") {
		tables = append(tables, poetry.table("group", name, "dependencies"))
	}
	for _, table := range tables {
		for name, entries := range poetryEntries(table) {
			for _, entry := range entries {
				l.poetrySource(dir, packageName(name), entry)
			}
		}
	}
	var names []string
	for name, entries := range poetryDependencies(project) {
		for _, entry := range entries {
			if entry.has("path") || entry.has("git") || entry.has("url") {
				names = append(names, packageName(name))
			}
		}
	}
	return names
}

func (l *localPackages) poetrySource(dir, name string, entry document) {
	switch {
	case entry.text("path") != "":
		l.add(localPackage{name, resolvedIn(dir, entry.text("path")), entry.bool("develop")})
	case entry.text("git") != "":
		l.remote[name] = name + " @ " + gitURL(entry)
	case entry.text("url") != "":
		l.remote[name] = name + " @ " + entry.text("url")
	}
}

// poetryRequirements are the dependencies of a Poetry project that come from an
// index, in the form of PEP 508.
func poetryRequirements(project document) ([]string, error) {
	var requirements []string
	dependencies := poetryDependencies(project)
	for _, name := range slices.Sorted(maps.Keys(dependencies)) {
		for _, entry := range dependencies[name] {
			if entry.text("path") != "" || entry.text("git") != "" || entry.text("url") != "" {
				continue // named by its URL
			}
			version, err := poetryVersion(entry.text("version"))
			if err != nil {
				return nil, poetryError(name, err)
			}
			markers, err := poetryMarkers(entry)
			if err != nil {
				return nil, poetryError(name, err)
			}
			requirement := packageName(name)
			if extras := entry.texts("extras"); len(extras) > 0 {
				requirement += "[" + strings.Join(extras, ",") + "]"
			}
			requirement += version
			if len(markers) > 0 {
				requirement += " ; " + strings.Join(markers, " and ")
			}
			requirements = append(requirements, requirement)
		}
	}
	return requirements, nil
}

const poetryAdvice = "make the environment with Poetry (python -m venv .venv, then poetry install), which is used without changes"

func poetryError(name string, err error) error {
	return &Error{Message: fmt.Sprintf("pyproject.toml: [tool.poetry.dependencies] %s: %v", name, err), Advice: poetryAdvice}
}

// poetryMarkers are the conditions under which a dependency is installed.
func poetryMarkers(entry document) ([]string, error) {
	var markers []string
	if text := entry.text("markers"); text != "" {
		markers = append(markers, "("+text+")")
	}
	if platform := entry.text("platform"); platform != "" {
		markers = append(markers, fmt.Sprintf("sys_platform == %q", platform))
	}
	versions, err := poetryVersion(entry.text("python"))
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(versions, ",") {
		if found := specifier.FindStringSubmatch(part); found != nil {
			markers = append(markers, fmt.Sprintf("python_full_version %s %q", found[1], found[2]))
		}
	}
	return markers, nil
}

// poetryVersion is a version constraint of Poetry as specifiers of PEP 440; empty
// if all versions will do.
func poetryVersion(constraint string) (string, error) {
	if strings.Contains(constraint, "|") {
		return "", fmt.Errorf("the version %q has alternatives, which no other installer knows", constraint)
	}
	var all []string
	for part := range strings.FieldsFuncSeq(joinedOperators(constraint), func(r rune) bool { return r == ',' || r == ' ' }) {
		version, err := poetrySpecifier(part)
		if err != nil {
			return "", err
		}
		if version != "" {
			all = append(all, version)
		}
	}
	return strings.Join(all, ","), nil
}

// joinedOperators removes the space between an operator and its version.
func joinedOperators(constraint string) string {
	for _, operator := range []string{"=", "<", ">", "^", "~"} {
		for strings.Contains(constraint, operator+" ") {
			constraint = strings.ReplaceAll(constraint, operator+" ", operator)
		}
	}
	return constraint
}

func poetrySpecifier(part string) (string, error) {
	unknown := fmt.Errorf("the version %q is not known", part)
	switch {
	case part == "*":
		return "", nil
	case strings.HasPrefix(part, "^"):
		lower := asVersion(part[1:])
		if lower == nil {
			return "", unknown
		}
		at := 0
		for at < len(lower)-1 && lower[at] == 0 {
			at++
		}
		return between(part[1:], lower, at), nil
	case strings.HasPrefix(part, "~") && !strings.HasPrefix(part, "~="):
		lower := asVersion(part[1:])
		if lower == nil {
			return "", unknown
		}
		return between(part[1:], lower, min(1, len(lower)-1)), nil
	case specifier.MatchString(part):
		return part, nil
	case strings.HasPrefix(part, "=") && asVersion(part[1:]) != nil:
		return "=" + part, nil
	case asVersion(part) != nil:
		return "==" + part, nil
	}
	return "", unknown
}

// between allows versions from lower up to the next one at a place.
func between(text string, lower pythonVersion, at int) string {
	upper := make([]string, at+1)
	for i := range upper {
		upper[i] = strconv.Itoa(lower[i])
	}
	upper[at] = strconv.Itoa(lower[at] + 1)
	return ">=" + text + ",<" + strings.Join(upper, ".")
}

// poetrySourcesRefused says why another installer would take packages from
// elsewhere than Poetry does; empty if none would.
func poetrySourcesRefused(project document) string {
	for name, entries := range poetryDependencies(project) {
		for _, entry := range entries {
			if source := entry.text("source"); source != "" && !strings.EqualFold(source, "pypi") {
				return fmt.Sprintf("%s comes from the source %q of [tool.poetry]", name, source)
			}
		}
	}
	for _, source := range project.table("tool", "poetry").tables("source") {
		if name := source.text("name"); source.text("priority") != "explicit" && !strings.EqualFold(name, "pypi") {
			return fmt.Sprintf("packages come from the source %q of [tool.poetry]", name)
		}
	}
	return ""
}

// poetryLocked are the versions of poetry.lock, as constraints. A name that is
// locked at several versions is left to the installer.
func poetryLocked(dir string) ([]string, error) {
	lock, err := readDocument(filepath.Join(dir, "poetry.lock"))
	if err != nil {
		return nil, err
	}
	versions := map[string][]string{}
	for _, p := range lock.tables("package") {
		if kind := p.table("source").text("type"); kind == "" || kind == "legacy" {
			name := packageName(p.text("name"))
			versions[name] = append(versions[name], p.text("version"))
		}
	}
	delete(versions, "qhub-commons")
	var constraints []string
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		if found := versions[name]; len(found) == 1 && asVersion(found[0]) != nil {
			constraints = append(constraints, name+"=="+found[0])
		}
	}
	return constraints, nil
}
