package main

import (
	"errors"
	"os"
	"testing"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
)

// The server at $ADDRESS: ../test starts one and runs this.
func TestTheServerGreetsByName(t *testing.T) {
	address := os.Getenv("ADDRESS")
	if address == "" {
		t.Fatal("ADDRESS says where the server is")
	}
	greeting, err := greet(t.Context(), address, "Ada")
	if err != nil || greeting != "Hello, Ada!" {
		t.Fatalf("%q, %v", greeting, err)
	}
}

func TestWithoutAServerTheErrorSaysSo(t *testing.T) {
	if _, err := greet(t.Context(), "unix:/nowhere/greeter.sock", "Ada"); !errors.Is(err, shipmate.ErrUnreachable) {
		t.Fatal(err)
	}
}
