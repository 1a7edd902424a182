package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// A server that is killed and started again.
func restart(ctx context.Context, address string) error {
	connector := shipmate.NewConnector(address, shipmate.BackOff(20))
	defer connector.Close()
	conn, err := connector.Conn(ctx)
	if err != nil {
		return err
	}
	service := shipmate.Bootstrap[server](conn)
	defer service.Release()
	inFlight, release := service.Hang(ctx, nil)
	defer release()
	if err := untilHanging(ctx, service, hangs{1, 0}); err != nil {
		return err
	}

	fmt.Println("restart now")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return fmt.Errorf("a line on standard input was expected: %w", err)
	}
	_, errInFlight := shipmate.Wait(ctx, inFlight)
	_, errNext := readNewCounter(ctx, service)
	if err := errors.Join(
		isError("the call in flight", errInFlight, shipmate.ErrDisconnected),
		isError("the next call", errNext, shipmate.ErrDisconnected),
	); err != nil {
		return err
	}

	if conn, err = connector.Conn(ctx); err != nil {
		return err
	}
	service = shipmate.Bootstrap[server](conn)
	defer service.Release()
	return isValue("a call of the new connection", 5)(readNewCounter(ctx, service))
}

func readNewCounter(ctx context.Context, service server) (int64, error) {
	future, release := service.NewCounter(ctx, func(p conformance.Conformance_newCounter_Params) error {
		p.SetStart(5)
		return nil
	})
	defer release()
	return read(ctx, future.Counter())
}
