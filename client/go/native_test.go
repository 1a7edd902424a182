//go:build shipmate_native

package shipmate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The transports that libshipmate carries are tested as the others are.
func init() {
	buildFlags = append(buildFlags, "-tags", "shipmate_native")
	nativeTransports = []string{"pipe", "shm", "auto"}
	if os.Getenv("SHIPMATE_LIBRARY") == "" {
		if library, err := filepath.Abs("../../target/debug/libshipmate.so"); err == nil {
			os.Setenv("SHIPMATE_LIBRARY", library)
		}
	}
}

// Go ends a program without the library's knowing: what it still has to carry must have arrived by then.
func TestMessagesThroughTheLibraryArriveBeforeTheProgramEnds(t *testing.T) {
	for _, transport := range []string{"shm", "auto"} {
		address := transport + ":" + filepath.Join(t.TempDir(), "records")
		there := program(t, "shipmate", "recv", address)
		there.Stderr = nil
		announced, err := there.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		lines, err := there.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := there.Start(); err != nil {
			t.Fatal(err)
		}
		nextLine(t, readLines(announced))
		output(t, program(t, "records", "send", address))
		said := readLines(lines)
		for _, name := range []string{"buoy 0", "buoy 1", "buoy 2"} {
			if line := nextLine(t, said); !strings.Contains(line, name) {
				t.Errorf("%s: expected %s and saw %s", transport, name, line)
			}
		}
		if err := there.Wait(); err != nil {
			t.Error(err)
		}
	}
}
