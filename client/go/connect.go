package shipmate

import (
	"context"
	"fmt"
	"net"
	"time"

	"capnproto.org/go/capnp/v3"
	"capnproto.org/go/capnp/v3/rpc"
)

// How long connecting may take if the context does not say.
const connectTimeout = 10 * time.Second

// A Conn is a connection to a server. It is safe to use from several goroutines.
type Conn struct {
	rpc   *rpc.Conn
	codec *codec
}

// Connect connects to a server: see [Address] for the forms that an address has. The context counts for
// connecting alone; without a deadline it may take ten seconds.
//
// Its error is an [*AddressError], [ErrUnreachable], or [errors.ErrUnsupported] where the transport needs
// libshipmate and that is not there.
func Connect(ctx context.Context, address string) (*Conn, error) {
	parsed, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, parsed)
	if err != nil {
		return nil, err
	}
	return NewConn(conn), nil
}

// NewConn speaks over a connection that was made in another way, such as TLS. It takes conn over.
func NewConn(conn net.Conn) *Conn {
	codec := newCodec(conn)
	return &Conn{rpc: rpc.NewConn(newTransport(codec), nil), codec: codec}
}

// Bootstrap gives what the server shows to who connects, as the type C of a generated package. It can be
// called at once; whether the server has such a thing the first call tells.
func Bootstrap[C ~capnp.ClientKind](conn *Conn) C {
	return C(conn.rpc.Bootstrap(context.Background()))
}

// Close ends the connection: calls in flight, on both sides, are cancelled.
func (c *Conn) Close() error {
	c.codec.end(lost("it was closed here", net.ErrClosed))
	return c.rpc.Close()
}

// Done is closed when the connection is over, for whatever reason.
func (c *Conn) Done() <-chan struct{} { return c.rpc.Done() }

// Err says why the connection is over, by an [ErrDisconnected]; nil while it is not.
func (c *Conn) Err() error {
	select {
	case <-c.Done():
		// The peer may have said goodbye before it closed.
		c.codec.end(lost("the peer ended it", net.ErrClosed))
	default:
	}
	return c.codec.err()
}

// dial gives a connected socket.
func dial(ctx context.Context, address Address) (net.Conn, error) {
	ctx, cancel := withDefaultTimeout(ctx)
	defer cancel()
	if address.Transport != "tcp" && address.Transport != "unix" {
		return dialNative(ctx, address)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, address.Transport, address.Place)
	if err != nil {
		return nil, unreachable(address, err)
	}
	return conn, nil
}

func unreachable(address Address, err error) error {
	return fmt.Errorf("%w at %v: %w", ErrUnreachable, address, err)
}

func withDefaultTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, connectTimeout)
}
