package shipmate_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The time after which a test that waits for something has failed: a limit for hanging.
const generous = 60 * time.Second

// What the programs under test are built with, besides what every build has: see the files for build tags.
var buildFlags []string

// Where the programs are: a folder for those of this package, and shipmate and shipmated.
var programs struct{ folder, shipmate, shipmated string }

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	folder, err := os.MkdirTemp("", "shipmate-go-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(folder)
	if err := buildRust(); err != nil {
		return 1, err
	}
	programs.folder = folder
	build := append([]string{"build", "-o", folder + "/"}, buildFlags...)
	build = append(build, "./cmd/conformance", "./samples/arith", "./samples/callback", "./samples/records")
	if said, err := exec.Command("go", build...).CombinedOutput(); err != nil {
		return 1, fmt.Errorf("go %v: %w\n%s", build, err, said)
	}
	return m.Run(), nil
}

// buildRust finds the server by SHIPMATED, or builds it; `shipmate` is beside it.
func buildRust() error {
	programs.shipmated = os.Getenv("SHIPMATED")
	if programs.shipmated == "" {
		root, err := filepath.Abs("../..")
		if err != nil {
			return err
		}
		build := exec.Command("cargo", "build", "--quiet", "--bins")
		build.Dir = root
		if said, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("cargo build: %w (or name a shipmated in SHIPMATED)\n%s", err, said)
		}
		programs.shipmated = filepath.Join(root, "target/debug/shipmated")
	}
	programs.shipmate = filepath.Join(filepath.Dir(programs.shipmated), "shipmate")
	return nil
}

// A daemon is a shipmated, which is killed when the test is over.
type daemon struct {
	t       *testing.T
	listen  []string
	process *exec.Cmd
	// Where it listens, in the order of the arguments, without the service.
	addresses []string
}

// startDaemon starts a server that is ready for clients: each argument is ADDRESS=SERVICE.
func startDaemon(t *testing.T, listen ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, listen: listen}
	d.start()
	t.Cleanup(d.kill)
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	var arguments []string
	for _, address := range d.listen {
		arguments = append(arguments, "--listen", address)
	}
	d.process = exec.Command(programs.shipmated, arguments...)
	d.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d.process.Env = append(os.Environ(), "RUST_LOG=warn")
	d.process.Stderr = os.Stderr
	lines, err := d.process.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.process.Start(); err != nil {
		d.t.Fatal(err)
	}
	said := readLines(lines)
	d.addresses = nil
	for {
		line := nextLine(d.t, said)
		if line == "shipmated: ready" {
			break
		}
		address, found := strings.CutPrefix(line, "shipmated: listening at ")
		if !found {
			d.t.Fatalf("an address was expected, and the server said %q", line)
		}
		address, _, _ = strings.Cut(address, " (")
		d.addresses = append(d.addresses, address)
	}
	// Whatever else it says must not fill the pipe.
	go func() {
		for range said {
		}
	}()
}

// kill ends it as a crash would.
func (d *daemon) kill() {
	if d.process != nil {
		_ = d.process.Process.Kill()
		_ = d.process.Wait()
		d.process = nil
	}
}

// restart kills it, and starts it again where it listened.
func (d *daemon) restart() {
	d.t.Helper()
	d.kill()
	for index, address := range d.addresses {
		_, service, _ := strings.Cut(d.listen[index], "=")
		d.listen[index] = address + "=" + service
	}
	d.start()
}

func readLines(from io.Reader) <-chan string {
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(from)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	return lines
}

func nextLine(t *testing.T, lines <-chan string) string {
	t.Helper()
	line, more := receive(t, lines)
	if !more {
		t.Fatal("a line was expected, and the output ended")
	}
	return line
}

// expectPrinted says that the next line of a program has these parts, and that it ends well.
func expectPrinted(t *testing.T, there *exec.Cmd, lines io.Reader, parts ...string) {
	t.Helper()
	line := nextLine(t, readLines(lines))
	for _, part := range parts {
		if !strings.Contains(line, part) {
			t.Errorf("%s printed %s, without %s", there, line, part)
		}
	}
	if err := there.Wait(); err != nil {
		t.Error(err)
	}
}

// receive takes from a channel, within the time allowed.
func receive[T any](t *testing.T, from <-chan T) (T, bool) {
	t.Helper()
	select {
	case value, more := <-from:
		return value, more
	case <-time.After(generous):
		t.Fatalf("nothing within %v", generous)
		panic("unreachable")
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), generous)
	t.Cleanup(cancel)
	return ctx
}

// program is one of this package's, or of Shipmate's, that ends with the test.
func program(t *testing.T, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(programs.folder, name)
	if name == "shipmate" {
		path = programs.shipmate
	}
	command := exec.CommandContext(within(t), path, arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Stderr = os.Stderr
	return command
}

// output runs a program to its end and gives what it printed.
func output(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	said, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command.Args, err, said)
	}
	return string(said)
}

// peer accepts one connection on a Unix socket and hands it to the function, on a goroutine of its own.
func peer(t *testing.T, behave func(net.Conn)) (address string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peer.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go behave(conn)
		}
	}()
	return "unix:" + path
}
