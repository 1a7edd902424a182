package shipmate

import (
	"context"
	"errors"
	"fmt"

	"capnproto.org/go/capnp/v3/exc"
	"capnproto.org/go/capnp/v3/rpc"
)

var (
	// ErrUnreachable: nobody answers at the address.
	ErrUnreachable = errors.New("shipmate: nobody answers")

	// ErrDisconnected: the connection is gone. It was closed or lost, or the peer died or broke the
	// protocol. Every call that was pending gets it at once, and every later one too. Whether a call in
	// flight was carried out is not known, so none is repeated silently: see [Connector].
	ErrDisconnected = errors.New("shipmate: the connection is gone")

	// ErrDeadline: no answer within the time allowed. The call was cancelled, at the server too. Such an
	// error is also [context.DeadlineExceeded].
	ErrDeadline = errors.New("shipmate: no answer in time")
)

// A ServiceError is an exception with which the service answered. What can go wrong as a matter of course
// a schema says as a value instead.
type ServiceError struct {
	// Kind is [exc.Failed], [exc.Overloaded] (try again later) or [exc.Unimplemented]. (The fourth that
	// Cap'n Proto has is [ErrDisconnected].)
	Kind exc.Type
	// Reason is the service's own words.
	Reason string
}

func (e *ServiceError) Error() string {
	return fmt.Sprintf("shipmate: the service answered: %v: %s", e.Kind, e.Reason)
}

// An AddressError is of an address that cannot be understood.
type AddressError struct {
	Given    string
	Expected string // The right form.
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("shipmate: %q is not an address: write %s", e.Given, e.Expected)
}

// ErrorOf makes of an error of generated code, as from a future's Struct or from a streaming method, the
// one that this package documents. Others, such as those of the caller's own function that sets the
// parameters, it gives back as they are, and nil too.
func ErrorOf(err error) error {
	var service *ServiceError
	switch {
	case err == nil, isOurs(err), errors.As(err, &service):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrDeadline, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	exceptions, leaf := unwrap(err)
	isLocal := false
	for _, exception := range exceptions {
		if exception.Type == exc.Disconnected {
			return fmt.Errorf("%w: %w", ErrDisconnected, leaf)
		}
		isLocal = isLocal || exception.Prefix != ""
	}
	switch {
	case errors.Is(err, rpc.ErrConnClosed):
		// In some places the library calls this a failure of the call.
		return fmt.Errorf("%w: %w", ErrDisconnected, leaf)
	case len(exceptions) == 0 || isLocal:
		return err
	}
	// The library names the method in front of the reason, once for each promise on the way.
	return &ServiceError{Kind: exceptions[0].Type, Reason: leaf.Error()}
}

func isOurs(err error) bool {
	var address *AddressError
	return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrDisconnected) || errors.Is(err, ErrDeadline) ||
		errors.As(err, &address)
}

// unwrap gives the exceptions that an error is wrapped in, from the outermost, and its innermost error.
// The library has exceptions both as values and as pointers.
func unwrap(err error) (exceptions []exc.Exception, leaf error) {
	for ; err != nil; err = errors.Unwrap(err) {
		switch exception := err.(type) {
		case *exc.Exception:
			exceptions = append(exceptions, *exception)
		case exc.Exception:
			exceptions = append(exceptions, exception)
		}
		leaf = err
	}
	return exceptions, leaf
}

func lost(why string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrDisconnected, why, err)
}
