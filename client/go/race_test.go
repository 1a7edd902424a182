//go:build race

package shipmate_test

func init() { buildFlags = append(buildFlags, "-race") }
