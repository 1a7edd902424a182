// Command callback has a server call a function of this program, for each value of an expression that the
// server evaluates: 2 to the power of 10, less 1.
//
//	shipmated --listen unix:/tmp/ship.sock=calculator &
//	go run ./samples/callback unix:/tmp/ship.sock
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"capnproto.org/go/capnp/v3"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/calculator"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "callback:", err)
		os.Exit(1)
	}
}

// power is an object of this program, which the server calls.
type power struct{}

func (power) Call(_ context.Context, call calculator.Calculator_Function_call) error {
	params, err := call.Args().Params()
	if err != nil {
		return err
	}
	if params.Len() != 2 {
		return fmt.Errorf("pow takes 2 numbers and got %d", params.Len())
	}
	fmt.Printf("the server calls pow(%v, %v)\n", params.At(0), params.At(1))
	result, err := call.AllocResults()
	if err != nil {
		return err
	}
	result.SetValue(math.Pow(params.At(0), params.At(1)))
	return nil
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("write callback ADDRESS")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := shipmate.Connect(ctx, arguments[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	service := shipmate.Bootstrap[calculator.Calculator](conn)
	defer service.Release()

	// Neither of these two is waited for: the calls that follow are made on their results to come.
	operator, release := service.GetOperator(ctx, func(p calculator.Calculator_getOperator_Params) error {
		p.SetOp(calculator.Calculator_Operator_subtract)
		return nil
	})
	defer release()
	minus := operator.Func()
	pow := calculator.Calculator_Function_ServerToClient(power{})
	defer pow.Release()
	answer, release := service.Evaluate(ctx, func(p calculator.Calculator_evaluate_Params) error {
		expression, err := p.NewExpression()
		if err != nil {
			return err
		}
		operands, err := call(expression, minus)
		if err != nil {
			return err
		}
		operands.At(1).SetLiteral(1)
		operands, err = call(operands.At(0), pow)
		if err != nil {
			return err
		}
		operands.At(0).SetLiteral(2)
		operands.At(1).SetLiteral(10)
		return nil
	})
	defer release()
	result, release, err := shipmate.Call(ctx, answer.Value().Read,
		func(calculator.Calculator_Value_read_Params) error { return nil })
	if err != nil {
		return err
	}
	defer release()
	fmt.Println("pow(2, 10) - 1 =", result.Value())
	return nil
}

// call makes an expression a call of a function with two operands, which it gives, to be filled in.
func call(
	expression calculator.Calculator_Expression, function calculator.Calculator_Function,
) (operands capnp.StructList[calculator.Calculator_Expression], err error) {
	expression.SetCall()
	if err := expression.Call().SetFunction(function.AddRef()); err != nil {
		return operands, err
	}
	return expression.Call().NewParams(2)
}
