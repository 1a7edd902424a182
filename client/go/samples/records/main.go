// Command records sends and receives records, one way:
//
//	go run ./samples/records recv unix:/tmp/records    or: shipmate recv unix:/tmp/records
//	go run ./samples/records send unix:/tmp/records    or: shipmate send unix:/tmp/records
//
// With pipe:/tmp/p they travel in a named pipe.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/record"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "records:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "send":
		return send(arguments[1])
	case len(arguments) == 2 && arguments[0] == "recv":
		return receive(arguments[1])
	default:
		return errors.New("write records send ADDRESS, or records recv ADDRESS")
	}
}

func send(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sender, err := shipmate.OpenSender(ctx, address, record.NewRootRecord)
	if err != nil {
		return err
	}
	for number := range int64(3) {
		err := sender.Send(func(r record.Record) error {
			r.SetValue(number)
			return errors.Join(r.SetName(fmt.Sprintf("buoy %d", number)), r.Body().SetText("calm"))
		})
		if err != nil {
			return errors.Join(err, sender.Close())
		}
	}
	return sender.Close()
}

func receive(address string) error {
	listener, err := shipmate.Listen(address)
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Println("listening at", listener.Address())
	receiver, err := shipmate.Accept(listener, record.ReadRootRecord)
	if err != nil {
		return err
	}
	defer receiver.Close()
	for r, err := range receiver.All() {
		if err != nil {
			return err
		}
		name, err := r.Name()
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d\n", name, r.Value())
	}
	return nil
}
