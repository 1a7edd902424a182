// A client: go run . ADDRESS, after go generate.
package main

//go:generate shipmate generate --lang go --out generated ../schema

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/hello-shipmate/generated/go/greeter"
	shipmate "github.com/shipmate-ipc/shipmate/client/go"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . ADDRESS")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	greeting, err := greet(ctx, os.Args[1], "Go")
	switch {
	case errors.Is(err, shipmate.ErrUnreachable):
		fail("start the server first: %v", err)
	case err != nil:
		fail("%v", err)
	}
	fmt.Println(greeting)
}

// greet asks the server at the address for a greeting, which the context says how long to wait for.
func greet(ctx context.Context, address, name string) (string, error) {
	conn, err := shipmate.Connect(ctx, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	service := shipmate.Bootstrap[greeter.Greeter](conn)
	defer service.Release()

	set := func(params greeter.Greeter_greet_Params) error { return params.SetName(name) }
	result, release, err := shipmate.Call(ctx, service.Greet, set)
	if err != nil {
		return "", err
	}
	// The result can be read until then; the string is a copy.
	defer release()
	return result.Greeting()
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "client: "+format+"\n", arguments...)
	os.Exit(1)
}
