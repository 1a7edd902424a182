// Command shipmate-generate makes Go packages of plain Cap'n Proto schemas:
//
//	shipmate-generate [-out FOLDER] SCHEMA.capnp… | FOLDER…
//
// Each schema NAME.capnp becomes the package FOLDER/NAME. It needs the `capnp` tool, and to be run in a
// module that requires capnproto.org/go/capnp/v3: the generator is built from there, so that it and the
// library are always of one version.
//
// Schemas stay free of Go: what Go must know of them ($Go.package, $Go.import) is added to copies.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	// So that a module that has this command as a tool has what the generator is built from.
	_ "capnproto.org/go/capnp/v3"
)

func main() {
	out := flag.String("out", ".", "the folder that gets a package for each schema")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "shipmate-generate:", err)
		os.Exit(1)
	}
}

func run(out string, arguments []string) error {
	schemas, err := find(arguments)
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	base, err := importPath(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "shipmate-generate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	library, err := output("go", "list", "-m", "-f", "{{.Dir}}", "capnproto.org/go/capnp/v3")
	if err != nil {
		return err
	}
	generator := filepath.Join(work, "capnpc-go")
	if _, err := output("go", "build", "-o", generator, "capnproto.org/go/capnp/v3/capnpc-go"); err != nil {
		return err
	}
	copies, err := annotate(schemas, filepath.Join(work, "schema"), base)
	if err != nil {
		return err
	}
	for _, schema := range copies {
		folder := filepath.Join(out, packageOf(schema))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		// The library brings /go.capnp, and /capnp/stream.capnp for `-> stream`.
		_, err := output("capnp", "compile", "--no-standard-import", "-I", filepath.Join(library, "std"),
			"--src-prefix", filepath.Dir(schema), "-o", generator+":"+folder, schema)
		if err != nil {
			return err
		}
	}
	return nil
}

// find gives the schemas that the arguments name, of a folder all.
func find(arguments []string) ([]string, error) {
	var schemas []string
	for _, argument := range arguments {
		info, err := os.Stat(argument)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			schemas = append(schemas, argument)
			continue
		}
		inside, err := filepath.Glob(filepath.Join(argument, "*.capnp"))
		if err != nil {
			return nil, err
		}
		schemas = append(schemas, inside...)
	}
	if len(schemas) == 0 {
		return nil, errors.New("no schema is named: write shipmate-generate [-out FOLDER] SCHEMA.capnp…")
	}
	return schemas, nil
}

// annotate copies the schemas into a folder, with what Go must know of each at the end, where it does not
// move the lines that an error message names. Their neighbours come along, since they may be imported.
func annotate(schemas []string, folder, base string) ([]string, error) {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	var copies []string
	for number, schema := range schemas {
		place := filepath.Join(folder, fmt.Sprint(number))
		if err := os.Mkdir(place, 0o755); err != nil {
			return nil, err
		}
		neighbours, err := filepath.Glob(filepath.Join(filepath.Dir(schema), "*.capnp"))
		if err != nil {
			return nil, err
		}
		for _, neighbour := range neighbours {
			text, err := os.ReadFile(neighbour)
			if err != nil {
				return nil, err
			}
			if !strings.Contains(string(text), `"/go.capnp"`) {
				name := packageOf(neighbour)
				text = fmt.Appendf(text, "\n$import \"/go.capnp\".package(%q);\n$import \"/go.capnp\".import(%q);\n",
					name, base+"/"+name)
			}
			if err := os.WriteFile(filepath.Join(place, filepath.Base(neighbour)), text, 0o644); err != nil {
				return nil, err
			}
		}
		copies = append(copies, filepath.Join(place, filepath.Base(schema)))
	}
	return copies, nil
}

// packageOf is the name of a schema's package: that of its file, less what no Go name may have in it.
func packageOf(schema string) string {
	name := strings.ToLower(strings.TrimSuffix(filepath.Base(schema), ".capnp"))
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, name)
}

// importPath is how Go code imports what lies in a folder of this module.
func importPath(folder string) (string, error) {
	module, err := output("go", "list", "-m", "-f", "{{.Path}}\n{{.Dir}}")
	if err != nil {
		return "", err
	}
	path, root, _ := strings.Cut(module, "\n")
	inside, err := filepath.Rel(root, folder)
	if err != nil || inside == ".." || strings.HasPrefix(inside, "../") {
		return "", fmt.Errorf("%s is not in the module %s: choose another -out", folder, path)
	}
	if inside == "." {
		return path, nil
	}
	return path + "/" + filepath.ToSlash(inside), nil
}

// output runs a program, whose error is what it said.
func output(program string, arguments ...string) (string, error) {
	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), "PWD=") // An older `capnp` distrusts a PWD that is a symbolic link.
	var wrong strings.Builder
	command.Stderr = &wrong
	text, err := command.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%w: install it (Debian: apt-get install capnproto)", err)
	case err != nil:
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, wrong.String())
	}
	return strings.TrimSpace(string(text)), nil
}
