// Command conformance tries everything that a client must be able to do, at a real server:
//
//	shipmated --listen unix:/tmp/c.sock=conformance &
//	conformance unix:/tmp/c.sock
//
// It prints a line for each step: `ok STEP`, or `FAILED STEP: what was expected and what was seen`. It ends
// with 0 when no step failed, 1 when one did, and 2 when it could not connect. With --restart it says
// `restart now` in the end, waits for a line on standard input, which says that the server was killed and
// started again, and sees how that went.
//
// A file for each group of steps, and in it a function for each step.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// The types of the schema have this name before theirs in the functions' signatures.
type server = conformance.Conformance

type step struct {
	name string
	take func(context.Context, server) error
}

var steps = []step{
	{"primitives", primitives},
	{"text", text},
	{"data", data},
	{"lists", lists},
	{"unions", unions},
	{"defaults", defaults},
	{"future-enum", futureEnum},
	{"evolution", evolution},
	{"multi-segment", multiSegment},
	{"large", large},
	{"capability", capability},
	{"identity", identity},
	{"callback", callback},
	{"reentrant", reentrant},
	{"pipelining", pipelining},
	{"out-of-order", outOfOrder},
	{"stream-up", streamUp},
	{"stream-down", streamDown},
	{"cancel", cancel},
	{"typed-error", typedError},
	{"error-kinds", errorKinds},
	{"deadline", deadline},
	{"many", many},
}

// The longest that a step may take: a limit for hanging, not for being slow.
const stepMax = 60 * time.Second

func main() {
	restarts := flag.Bool("restart", false, "have the server restarted, and see how that went")
	// The address may stand before the flag too.
	var addresses []string
	for rest := os.Args[1:]; len(rest) > 0; {
		if err := flag.CommandLine.Parse(rest); err != nil {
			os.Exit(2)
		}
		if rest = flag.Args(); len(rest) > 0 {
			addresses, rest = append(addresses, rest[0]), rest[1:]
		}
	}
	if len(addresses) != 1 {
		fmt.Fprintln(os.Stderr, "write conformance ADDRESS [--restart]")
		os.Exit(2)
	}
	os.Exit(run(addresses[0], *restarts))
}

func run(address string, restarts bool) (exitCode int) {
	conn, err := shipmate.Connect(context.Background(), address)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		return 2
	}
	defer conn.Close()
	service := shipmate.Bootstrap[server](conn)
	defer service.Release()
	failed := 0
	for _, step := range steps {
		failed += report(step.name, func(ctx context.Context) error { return step.take(ctx, service) })
	}
	if restarts {
		failed += report("restart", func(ctx context.Context) error { return restart(ctx, address) })
	}
	return min(failed, 1)
}

// report takes a step and says how it went. It gives how many failed: one or none.
func report(name string, take func(context.Context) error) int {
	ctx, end := context.WithTimeout(context.Background(), stepMax)
	defer end()
	err := take(ctx)
	switch {
	case err == nil:
		fmt.Println("ok", name)
		return 0
	case errors.Is(err, errors.ErrUnsupported):
		fmt.Printf("unsupported %s: %v\n", name, err)
		return 0
	default:
		fmt.Printf("FAILED %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
}

func is[T comparable](what string, seen, expected T) error {
	if seen != expected {
		return fmt.Errorf("%s: expected %#v and saw %#v", what, expected, seen)
	}
	return nil
}

// isSame is the same for values that are too long to be shown.
func isSame[S ~[]T, T comparable](what string, seen, expected S) error {
	if err := is("the length of "+what, len(seen), len(expected)); err != nil {
		return err
	}
	for index := range seen {
		if seen[index] != expected[index] {
			return is(fmt.Sprintf("element %d of %s", index, what), seen[index], expected[index])
		}
	}
	return nil
}

// isError is for what should have failed, and the error that it should have failed with.
func isError(what string, seen, expected error) error {
	if !errors.Is(seen, expected) {
		return fmt.Errorf("%s: expected the error %q and saw %v", what, expected, seen)
	}
	return nil
}
