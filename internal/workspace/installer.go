package workspace

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// installer fills one environment by a plan, with uv where it is installed and
// with Python's own tools otherwise.
type installer struct {
	workspace *Workspace
	env       *Environment
	plan      *plan
	wheel     string
	uv        string
}

func (i installer) run(ctx context.Context, progress Progress) error {
	steps := []struct {
		what string
		do   func(context.Context) error
	}{{"Making .venv with venv", i.venvWithPython}, {"Installing packages with pip", i.install}}
	if i.uv != "" {
		steps[0].what, steps[0].do = "Making .venv with uv", i.venvWithUV
		steps[1].what = "Installing packages with uv"
	}
	for _, step := range steps {
		done := progress.Step(step.what)
		err := step.do(ctx)
		done(err)
		if err != nil {
			return err
		}
	}
	return nil
}

// origin says how the environment was made.
func (i installer) origin() string {
	by := "pip"
	if i.uv != "" {
		by = "uv"
	}
	return "with " + by + " from " + i.plan.sources() + "; Python " + environmentPython(i.env.Dir) + ", " + i.plan.python.why()
}

func (i installer) venvWithUV(ctx context.Context) error {
	args := []string{"venv", "--quiet", "--allow-existing"}
	if !i.plan.project {
		args = append(args, "--no-project") // nor a project of a folder above
	}
	if wish := i.plan.python; wish.explicit && wish.pinned == nil && wish.unknown == "" {
		args = append(args, "--python", wish.specifiers)
	}
	return i.command(ctx, i.uv, append(args, i.env.Dir)...)
}

func (i installer) venvWithPython(ctx context.Context) error {
	python, _, err := i.plan.python.find(ctx)
	if err != nil {
		return err
	}
	return i.command(ctx, python, "-m", "venv", i.env.Dir)
}

// install installs the packages. Locked packages, and those compared by hashes,
// come first. The SDK's wheel has no hash in those files, so a separate step adds
// it and keeps the versions of the others.
func (i installer) install(ctx context.Context) error {
	constraints := i.plan.guard(i.uv != "")
	if i.plan.lock != "" {
		if err := i.installLock(ctx); err != nil {
			return err
		}
	} else if i.plan.hashed {
		args, err := i.arguments(constraints)
		if err != nil {
			return err
		}
		if err := i.installer(ctx, nil, append(args, "-r", i.plan.file)...); err != nil {
			return err
		}
	}
	wanted, err := i.wanted(ctx)
	if err != nil {
		return err
	}
	var env []string
	if i.plan.lock != "" || i.plan.hashed {
		if constraints, err = i.installed(); err != nil {
			return err
		}
		env = []string{"PIP_REQUIRE_HASHES=0", "UV_REQUIRE_HASHES=false"}
	}
	if len(wanted) == 0 {
		return nil
	}
	args, err := i.arguments(constraints)
	if err != nil {
		return err
	}
	return i.installer(ctx, env, append(args, wanted...)...)
}

// installer runs the installer.
func (i installer) installer(ctx context.Context, env []string, args ...string) error {
	if i.uv != "" {
		return i.commandIn(ctx, i.workspace.Dir, env, i.uv, append([]string{"pip", "install", "--quiet", "--python", i.env.Python}, args...)...)
	}
	pip := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"}
	return i.commandIn(ctx, i.workspace.Dir, env, i.env.Python, append(pip, args...)...)
}

// arguments bind the installer to constraints.
func (i installer) arguments(constraints []string) ([]string, error) {
	if len(constraints) == 0 {
		return nil, nil
	}
	return i.fileArgument("--constraint", "constraints.txt", constraints)
}

// fileArgument is an option with a file of these lines. The file is named from
// the workspace: its path may hold characters with a meaning for installers.
func (i installer) fileArgument(option, name string, lines []string) ([]string, error) {
	path, err := i.workspace.state(name)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, &Error{Message: "cannot write " + path, Err: err}
	}
	return []string{option, stateDir + "/" + name}, nil
}

// installLock installs the packages of uv.lock, from the folder that its paths are
// relative to.
func (i installer) installLock(ctx context.Context) error {
	locked, err := i.workspace.state("locked.txt")
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(i.plan.lock, locked)
	if err != nil {
		return &Error{Message: "cannot find " + locked, Err: err}
	}
	export := []string{"export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--output-file", stateDir + "/locked.txt"}
	if i.wheel != "" {
		export = append(export, "--no-emit-package", "qhub-commons")
	}
	if err := i.command(ctx, i.uv, export...); err != nil {
		return err
	}
	return i.commandIn(ctx, i.plan.lock, nil, i.uv, "pip", "install", "--quiet", "--python", i.env.Python, "--no-deps", "-r", relative)
}

// installed are the versions of the packages in the environment, as constraints.
func (i installer) installed() ([]string, error) {
	var constraints []string
	for _, dir := range sitePackages(i.env.Dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, &Error{Message: "cannot read " + dir, Err: err}
		}
		for _, entry := range entries {
			name, version, ok := strings.Cut(strings.TrimSuffix(entry.Name(), ".dist-info"), "-")
			if _, local := i.plan.local.known[packageName(name)]; !ok || local || !strings.HasSuffix(entry.Name(), ".dist-info") {
				continue
			}
			switch packageName(name) {
			case "qhub-commons", "pip", "setuptools":
			default:
				if !exists(filepath.Join(dir, entry.Name(), "direct_url.json")) {
					constraints = append(constraints, name+"=="+version)
				}
			}
		}
	}
	return append(constraints, i.plan.guardLocal(i.uv != "")...), nil
}

// wanted are arguments that name the packages to install: the SDK, and the
// dependencies of the project.
func (i installer) wanted(ctx context.Context) ([]string, error) {
	var args []string
	p := i.plan
	if i.wheel != "" {
		line := "qhub-commons @ " + fileURL(i.wheel)
		if i.uv != "" { // takes precedence over the project's sources
			override, err := i.fileArgument("--override", "overrides.txt", []string{line})
			if err != nil {
				return nil, err
			}
			args = append(args, override...)
		}
		args = append(args, line)
	} else if len(p.from) == 0 {
		args = append(args, "qhub-commons")
	}
	if p.lock != "" {
		return args, nil
	}
	if p.file != "" && !p.hashed {
		args = append(args, "-r", p.file)
	}
	requirements := p.requirements
	switch {
	case i.uv != "" && p.project:
		return append(args, "-r", "pyproject.toml"), nil
	case i.uv != "" && p.dynamic:
		return append(args, "-r", p.from[0]), nil
	case p.dynamic:
		built, err := i.builtRequirements(ctx)
		if err != nil {
			return nil, err
		}
		requirements = slices.Concat(requirements, built)
	}
	return append(args, i.named(requirements)...), nil
}

// named returns requirements as arguments, those of local packages by their folders.
func (i installer) named(requirements []string) []string {
	var args []string
	for _, requirement := range requirements {
		if requiredName(requirement) != "" {
			args = append(args, requirement)
		}
	}
	local := i.plan.local
	for _, name := range slices.Sorted(maps.Keys(local.wanted)) {
		l, ok := local.known[name]
		switch {
		case !ok:
			args = append(args, local.remote[name])
		case !l.editable:
			args = append(args, l.requirement())
		case i.uv == "":
			args = append(args, "--editable", fileURL(l.path))
		case strings.ContainsAny(l.path, "#[];% "): // uv does not accept these in a path
			args = append(args, "--editable", l.requirement())
		default:
			args = append(args, "--editable", l.path)
		}
	}
	return args
}

// builtRequirements asks the build backend of the project for its dependencies.
func (i installer) builtRequirements(ctx context.Context) ([]string, error) {
	path, err := i.workspace.state("metadata.json")
	if err != nil {
		return nil, err
	}
	err = i.installer(ctx, []string{"PIP_REQUIRE_HASHES=0"}, "--dry-run", "--ignore-installed", "--no-deps", "--report", path, ".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(path) }()
	var report struct {
		Install []struct {
			Metadata struct {
				RequiresDist []string `json:"requires_dist"`
			}
		}
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || len(report.Install) != 1 {
		return nil, &Error{
			Message: "cannot find out what the project depends on: its dependencies are dynamic",
			Advice:  "install uv (pip install uv), or list the dependencies in pyproject.toml or requirements.txt", Err: err,
		}
	}
	return report.Install[0].Metadata.RequiresDist, nil
}

// sitePackages are the folders of an environment that hold packages.
func sitePackages(dir string) []string {
	var all []string
	for _, pattern := range []string{"lib/python*/site-packages", "Lib/site-packages"} {
		found, err := filepath.Glob(filepath.Join(globEscaped(dir), filepath.FromSlash(pattern)))
		if err == nil {
			all = append(all, found...)
		}
	}
	return all
}
