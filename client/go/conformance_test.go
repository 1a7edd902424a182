package shipmate_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Those that need libshipmate, in a build that can have it.
var nativeTransports []string

// everyTransport gives an address of each kind that this build can connect to, for a server to listen at.
func everyTransport(t *testing.T) map[string]string {
	addresses := map[string]string{"tcp": "tcp:127.0.0.1:0", "unix": "unix:" + filepath.Join(t.TempDir(), "s")}
	for _, transport := range nativeTransports {
		addresses[transport] = transport + ":" + filepath.Join(t.TempDir(), "s")
	}
	return addresses
}

// Every step of the contract, with a server that is really killed and started again for the last.
func TestConformance(t *testing.T) {
	steps := contract(t)
	for transport, address := range everyTransport(t) {
		t.Run(transport, func(t *testing.T) {
			server := startDaemon(t, address+"=conformance")
			command := program(t, "conformance", server.addresses[0], "--restart")
			input, err := command.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			var seen []string
			for line := range readLines(out) {
				if line == "restart now" {
					server.restart()
					if _, err := io.WriteString(input, "\n"); err != nil {
						t.Error(err)
					}
					continue
				}
				seen = append(seen, line)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
			var expected []string
			for _, step := range steps {
				expected = append(expected, "ok "+step)
			}
			if !slices.Equal(seen, expected) {
				t.Errorf("expected\n%s\nand saw\n%s", strings.Join(expected, "\n"), strings.Join(seen, "\n"))
			}
		})
	}
}

func TestConformanceSaysWhenItCannotConnect(t *testing.T) {
	command := program(t, "conformance", "unix:"+filepath.Join(t.TempDir(), "nobody"))
	command.Stderr = nil
	_ = command.Run()
	if code := command.ProcessState.ExitCode(); code != 2 {
		t.Errorf("expected the exit code 2 and saw %d", code)
	}
}

// contract gives the steps that a client in any language takes.
func contract(t *testing.T) (steps []string) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| step | what it does")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		steps = append(steps, row[1])
	}
	if len(steps) == 0 {
		t.Fatal("the contract has no table of steps")
	}
	return steps
}

// The first program of the README does what the README says.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(text), "```go\npackage main\n")
	code, _, _ = strings.Cut(code, "\n```\n")
	server := startDaemon(t, "unix:"+filepath.Join(t.TempDir(), "s")+"=arith")
	file := filepath.Join(t.TempDir(), "main.go")
	code = "package main\n" + strings.Replace(code, "unix:/tmp/ship.sock", server.addresses[0], 1)
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(within(t), "go", "run", file)
	command.Stderr = os.Stderr
	if said := output(t, command); said != "3 remainder 1\n" {
		t.Errorf("it said %s", said)
	}
	if _, main, _ := strings.Cut(code, "func main"); strings.Count("func main"+main, "\n")+1 > 15 {
		t.Error("it is no longer a program of fifteen lines")
	}
}
