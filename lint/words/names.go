package main

import (
	_ "embed"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// names.txt lists, by package, identifiers that have given way to others. They
// are ordinary words elsewhere.
//
//go:embed names.txt
var retiredNames string

// retired returns the identifiers that no file of a folder may declare, as
// folder → name → replacement.
func retired() (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for line := range strings.Lines(retiredNames) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		all[fields[0]] = map[string]string{}
		for _, field := range fields[1:] {
			old, replacement, ok := strings.Cut(field, "=>")
			if !ok {
				return nil, fmt.Errorf("names.txt: %q is not NAME=>NAME", field)
			}
			all[fields[0]][strings.ReplaceAll(old, "|", "")] = replacement
		}
	}
	return all, nil
}

// checkNames reports declarations of retired names.
func checkNames(root string) (found, err error) {
	folders, err := retired()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, folder := range sortedKeys(folders) {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("names.txt: %s has no Go files", folder)
		}
		for _, file := range files {
			errs = append(errs, retiredIn(file, path.Join(folder, filepath.Base(file)), folders[folder]))
		}
	}
	return errors.Join(errs...), nil
}

func retiredIn(file, shown string, names map[string]string) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, shown, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range declared(parsed) {
		if instead := names[name.Name]; instead != "" {
			errs = append(errs, fmt.Errorf("%s: %s is called %s here", files.Position(name.Pos()), name.Name, instead))
		}
	}
	return errors.Join(errs...)
}

// declared are the identifiers that a file introduces.
func declared(file *ast.File) []*ast.Ident {
	var names []*ast.Ident
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			names = append(names, n.Name)
		case *ast.TypeSpec:
			names = append(names, n.Name)
		case *ast.ValueSpec:
			names = append(names, n.Names...)
		case *ast.Field:
			names = append(names, n.Names...)
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				return true
			}
			for _, left := range n.Lhs {
				if name, ok := left.(*ast.Ident); ok {
					names = append(names, name)
				}
			}
		case *ast.RangeStmt:
			for _, left := range []ast.Expr{n.Key, n.Value} {
				if name, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
					names = append(names, name)
				}
			}
		}
		return true
	})
	slices.SortFunc(names, func(a, b *ast.Ident) int { return int(a.Pos() - b.Pos()) })
	return names
}
