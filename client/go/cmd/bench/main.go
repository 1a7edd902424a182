// Command bench measures calls of Arith.multiply and prints a line of JSON: bench shipmate|stock ADDRESS CALLS,
// where stock is the library underneath, used as its documentation shows. `cargo xtask clients-bench` runs it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"capnproto.org/go/capnp/v3"
	"capnproto.org/go/capnp/v3/rpc"
	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/arith"
)

// So many calls are in flight at once where calls per second are counted.
const inFlight = 32

func main() {
	if len(os.Args) != 4 {
		fatal("write bench shipmate|stock ADDRESS CALLS")
	}
	calls, err := strconv.Atoi(os.Args[3])
	check(err)
	client, wait := connect(os.Args[1], os.Args[2])
	for range calls / 10 {
		client.call(1, wait)
	}
	times := make([]time.Duration, calls)
	for i := range times {
		before := time.Now()
		client.call(1, wait)
		times[i] = time.Since(before)
	}
	slices.Sort(times)
	before := time.Now()
	for range calls / inFlight {
		client.call(inFlight, wait)
	}
	took := time.Since(before).Seconds()
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"which":       os.Args[1],
		"p50_us":      float64(times[calls/2].Nanoseconds()) / 1e3,
		"calls_per_s": float64(calls/inFlight*inFlight) / took,
	}))
}

type future = arith.Arith_multiply_Results_Future

// A waiter waits for an answer in its library's manner.
type waiter func(context.Context, future) (arith.Arith_multiply_Results, error)

type client struct{ arith.Arith }

func connect(which, address string) (client, waiter) {
	switch which {
	case "shipmate":
		conn, err := shipmate.Connect(context.Background(), address)
		check(err)
		return client{shipmate.Bootstrap[arith.Arith](conn)}, shipmate.Wait[arith.Arith_multiply_Results, future]
	case "stock":
		conn, err := net.Dial("unix", strings.TrimPrefix(address, "unix:"))
		check(err)
		bootstrap := rpc.NewConn(rpc.NewStreamTransport(conn), nil).Bootstrap(context.Background())
		return client{arith.Arith(bootstrap)}, func(_ context.Context, f future) (arith.Arith_multiply_Results, error) {
			return f.Struct()
		}
	default:
		fatal("it is shipmate or stock")
		panic("unreachable")
	}
}

// call makes so many calls at once and waits for all.
func (c client) call(count int, wait waiter) {
	var futures [inFlight]future
	var releases [inFlight]capnp.ReleaseFunc
	ctx := context.Background()
	for i := range count {
		futures[i], releases[i] = c.Multiply(ctx, func(p arith.Arith_multiply_Params) error {
			p.SetA(6)
			p.SetB(7)
			return nil
		})
	}
	for i := range count {
		results, err := wait(ctx, futures[i])
		check(err)
		product, err := results.Product()
		check(err)
		if product.Value() != 42 {
			fatal("6 * 7 is not 42")
		}
		releases[i]()
	}
}

func check(err error) {
	if err != nil {
		fatal(err)
	}
}

func fatal(why any) {
	fmt.Fprintln(os.Stderr, "bench:", why)
	os.Exit(1)
}
