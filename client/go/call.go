package shipmate

import (
	"context"

	"capnproto.org/go/capnp/v3"
)

// A Future is an answer to come, of generated code: its fields can be called before it is there.
type Future[R any] interface {
	Done() <-chan struct{}
	Struct() (R, error)
}

// Call calls a method, such as service.Divide, with the parameters that the function sets (nil: none), and
// waits for the result. The result may be read until release, which is never nil, is called.
//
// When the context is over the call ends, here at once and at the server as soon as it hears of it: with
// [ErrDeadline], or with [context.Canceled].
func Call[P, R any, F Future[R]](
	ctx context.Context,
	method func(context.Context, func(P) error) (F, capnp.ReleaseFunc),
	params func(P) error,
) (result R, release capnp.ReleaseFunc, err error) {
	future, release := method(ctx, params)
	if result, err = Wait(ctx, future); err != nil {
		// It waits until the peer was told, and a peer that does not read is told nothing.
		go release()
		return result, func() {}, err
	}
	return result, release, nil
}

// Wait waits for the answer to a call that was made with the same context, as [Call] does: for calls that
// run at the same time, and for calls on the results of others that are not there yet.
func Wait[R any, F Future[R]](ctx context.Context, future F) (R, error) {
	select {
	case <-future.Done():
	case <-ctx.Done():
		// The library would wait until the peer took the cancellation.
		var none R
		return none, ErrorOf(ctx.Err())
	}
	result, err := future.Struct()
	return result, ErrorOf(err)
}
