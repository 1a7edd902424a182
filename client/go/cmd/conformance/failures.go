package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"capnproto.org/go/capnp/v3/exc"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// Calls that are given up, that fail, and that are many.

// How many calls of hang wait, and how many were cancelled.
type hangs struct{ waiting, cancelled uint32 }

// A call that is cancelled ends at the server too, and no other does.
func cancel(ctx context.Context, service server) error {
	before, err := hanging(ctx, service)
	if err != nil {
		return err
	}
	one, cancelOne := context.WithCancel(ctx)
	defer cancelOne()
	other, cancelOther := context.WithCancel(ctx)
	defer cancelOther()
	first, release := service.Hang(one, nil)
	defer release()
	second, release := service.Hang(other, nil)
	defer release()
	if err := untilHanging(ctx, service, hangs{before.waiting + 2, before.cancelled}); err != nil {
		return err
	}
	cancelOne()
	if err := untilHanging(ctx, service, hangs{before.waiting + 1, before.cancelled + 1}); err != nil {
		return err
	}
	select {
	case <-second.Done():
		return errors.New("the other call is over too")
	default:
	}
	cancelOther()
	_, errOne := shipmate.Wait(one, first)
	_, errOther := shipmate.Wait(other, second)
	return errors.Join(
		isError("the one", errOne, context.Canceled),
		isError("the other", errOther, context.Canceled),
		untilHanging(ctx, service, hangs{before.waiting, before.cancelled + 2}),
	)
}

func hanging(ctx context.Context, service server) (hangs, error) {
	result, release, err := shipmate.Call(ctx, service.Hanging, nil)
	if err != nil {
		return hangs{}, err
	}
	defer release()
	return hangs{result.Waiting(), result.Cancelled()}, nil
}

// untilHanging asks until the counts are as expected; the time allowed for a step ends it.
func untilHanging(ctx context.Context, service server, expected hangs) error {
	for {
		seen, err := hanging(ctx, service)
		if err != nil || seen == expected {
			return err
		}
		// More than were cancelled will not come back.
		if seen.cancelled > expected.cancelled {
			return is("waiting and cancelled", seen, expected)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Errors of the application are values.
func typedError(ctx context.Context, service server) error {
	for _, code := range []uint16{0, 1, 65535} {
		if err := refuse(ctx, service, code); err != nil {
			return err
		}
	}
	return nil
}

func refuse(ctx context.Context, service server, code uint16) error {
	result, release, err := shipmate.Call(ctx, service.Refuse, func(p conformance.Conformance_refuse_Params) error {
		p.SetCode(code)
		return nil
	})
	if err != nil {
		return err
	}
	defer release()
	outcome, err := result.Outcome()
	if err != nil {
		return err
	}
	if outcome.Which() == conformance.Outcome_Which_value {
		return is("the code that is no refusal", code, 0)
	}
	refusal, err := outcome.Error()
	if err != nil {
		return err
	}
	return is("the code of the refusal", refusal.Code(), code)
}

// Exceptions keep their kind, and their reason word for word.
func errorKinds(ctx context.Context, service server) error {
	for kind, expected := range map[conformance.ErrorKind]exc.Type{
		conformance.ErrorKind_failed:        exc.Failed,
		conformance.ErrorKind_overloaded:    exc.Overloaded,
		conformance.ErrorKind_unimplemented: exc.Unimplemented,
	} {
		var seen *shipmate.ServiceError
		reason := fmt.Sprint("the reason for ", kind, ": and more")
		if err := fail(ctx, service, kind, reason); !errors.As(err, &seen) {
			return fmt.Errorf("%v: expected a ServiceError and saw %v", kind, err)
		}
		if err := errors.Join(is("the kind", seen.Kind, expected), is("the reason", seen.Reason, reason)); err != nil {
			return err
		}
	}
	err := fail(ctx, service, conformance.ErrorKind_disconnected, "the reason")
	if err := isError("disconnected", err, shipmate.ErrDisconnected); err != nil {
		return err
	}
	if !strings.HasSuffix(err.Error(), ": the reason") {
		return fmt.Errorf("disconnected: expected the reason and saw %q", err)
	}
	return echoText(ctx, service, "still there")
}

func fail(ctx context.Context, service server, kind conformance.ErrorKind, reason string) error {
	_, release, err := shipmate.Call(ctx, service.Fail, func(p conformance.Conformance_fail_Params) error {
		p.SetKind(kind)
		return p.SetReason(reason)
	})
	release()
	return err
}

func deadline(ctx context.Context, service server) error {
	soon, end := context.WithTimeout(ctx, 30*time.Second)
	defer end()
	if err := delay(soon, service, 20); err != nil {
		return err
	}
	late, end := context.WithTimeout(ctx, 50*time.Millisecond)
	defer end()
	err := delay(late, service, 60_000)
	if err := isError("a call that takes too long", err, shipmate.ErrDeadline); err != nil {
		return err
	}
	return echoText(ctx, service, "still there")
}

func delay(ctx context.Context, service server, millis uint32) error {
	result, release, err := shipmate.Call(ctx, service.Delay, func(p conformance.Conformance_delay_Params) error {
		p.SetMillis(millis)
		return nil
	})
	if err != nil {
		return err
	}
	defer release()
	return is("the time it waited", result.Millis(), millis)
}

func many(ctx context.Context, service server) error {
	const calls = 1000
	texts := make([]string, calls)
	futures := make([]conformance.Conformance_text_Results_Future, calls)
	for number := range calls {
		texts[number] = fmt.Sprint("call ", number)
		future, release := service.Text(ctx,
			func(p conformance.Conformance_text_Params) error { return p.SetValue(texts[number]) })
		defer release()
		futures[number] = future
	}
	for number, future := range futures {
		result, err := shipmate.Wait(ctx, future)
		if err != nil {
			return err
		}
		echoed, err := result.Value()
		if err != nil {
			return err
		}
		if err := is("the answer", echoed, texts[number]); err != nil {
			return err
		}
	}
	return nil
}
