// Command arith divides two numbers at a server: arith ADDRESS A B.
//
//	shipmated --listen unix:/tmp/ship.sock=arith &
//	go run ./samples/arith unix:/tmp/ship.sock 22 7
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/arith"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "arith:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("write arith ADDRESS A B")
	}
	a, errA := strconv.ParseInt(arguments[1], 10, 64)
	b, errB := strconv.ParseInt(arguments[2], 10, 64)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := shipmate.Connect(ctx, arguments[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	service := shipmate.Bootstrap[arith.Arith](conn)
	defer service.Release()
	return errors.Join(multiply(ctx, service, a, b), divide(ctx, service, a, b))
}

// multiply makes a call and waits for its result.
func multiply(ctx context.Context, service arith.Arith, a, b int64) error {
	result, release, err := shipmate.Call(ctx, service.Multiply, func(p arith.Arith_multiply_Params) error {
		p.SetA(a)
		p.SetB(b)
		return nil
	})
	if err != nil {
		return err
	}
	defer release()
	product, err := result.Product()
	if err != nil {
		return err
	}
	switch product.Which() {
	case arith.Product_Which_value:
		fmt.Printf("%d * %d = %d\n", a, b, product.Value())
	case arith.Product_Which_error:
		fmt.Printf("%d * %d: %v\n", a, b, product.Error())
	}
	return nil
}

// divide does the same in two steps, between which the program may do other things.
func divide(ctx context.Context, service arith.Arith, a, b int64) error {
	future, release := service.Divide(ctx, func(p arith.Arith_divide_Params) error {
		p.SetA(a)
		p.SetB(b)
		return nil
	})
	defer release()

	result, err := shipmate.Wait(ctx, future)
	if err != nil {
		return err
	}
	division, err := result.Division()
	if err != nil {
		return err
	}
	switch division.Which() {
	case arith.Division_Which_value:
		value := division.Value()
		fmt.Printf("%d / %d = %d remainder %d\n", a, b, value.Quotient(), value.Remainder())
	case arith.Division_Which_error:
		// What can go wrong with numbers is a value, and no error of the call.
		fmt.Printf("%d / %d: %v\n", a, b, division.Error())
	}
	return nil
}
