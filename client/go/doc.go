// Package shipmate talks to programs in any language, by calls and messages that a Cap'n Proto schema
// types, over TCP, Unix sockets, named pipes and shared memory: only the address changes.
//
//	conn, err := shipmate.Connect(ctx, "unix:/tmp/ship.sock")
//	...
//	defer conn.Close()
//	service := shipmate.Bootstrap[arith.Arith](conn)
//	result, release, err := shipmate.Call(ctx, service.Divide, func(p arith.Arith_divide_Params) error {
//		p.SetA(22)
//		p.SetB(7)
//		return nil
//	})
//	defer release()
//
// The types and methods of a service come from its schema, by the command shipmate-generate, over
// capnproto.org/go/capnp/v3. All that library's features work: promise pipelining, callbacks, streams.
//
// A context's deadline is a call's deadline: when it has passed, the call ends here and at the server.
//
// Errors can be told apart with [errors.Is] and [errors.As]: [ErrUnreachable], [ErrDisconnected],
// [ErrDeadline], [*ServiceError] and [*AddressError]. [Call], [Wait], [Connect] and all else here give
// them; those that come straight from generated code become so by [ErrorOf].
package shipmate

//go:generate cp ../../ffi/include/shipmate.h .
//go:generate go run ./cmd/shipmate-generate -out schema ../../schema
