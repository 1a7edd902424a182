//go:build race

package shipmate_test

import "os"

func init() {
	buildFlags = append(buildFlags, "-race")
	// Otherwise each program waits for a second before it ends, for races to be seen then.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
}
