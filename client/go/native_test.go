//go:build shipmate_native

package shipmate_test

import (
	"os"
	"path/filepath"
)

// The transports that libshipmate carries are tested as the others are.
func init() {
	buildFlags = append(buildFlags, "-tags", "shipmate_native")
	nativeTransports = []string{"pipe", "shm"}
	if os.Getenv("SHIPMATE_LIBRARY") == "" {
		if library, err := filepath.Abs("../../target/debug/libshipmate.so"); err == nil {
			os.Setenv("SHIPMATE_LIBRARY", library)
		}
	}
}
