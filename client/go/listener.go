package shipmate

import (
	"context"
	"fmt"
	"net"
	"os"

	"capnproto.org/go/capnp/v3"
)

// A Listener waits for senders at an address.
type Listener struct {
	address Address
	from    acceptor
	turns   *turns[source]
}

// An acceptor is what a listener listens with.
type acceptor interface {
	// accept waits for a sender; after Close, and when that is called meanwhile, it gives [net.ErrClosed].
	accept() (source, error)
	Close() error
}

// Listen waits for senders at an address: at tcp: with port 0, any port that is free. A pipe that is missing is
// made. At auto: senders come over shared memory or the Unix socket, whichever they want.
func Listen(address string, options ...Option) (*Listener, error) {
	parsed, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	from, at, err := listenAt(parsed, optionsOf(options))
	if err != nil {
		return nil, fmt.Errorf("shipmate: listen at %v: %w", parsed, err)
	}
	return &Listener{address: at, from: from, turns: newTurns[source]()}, nil
}

func listenAt(address Address, options options) (acceptor, Address, error) {
	switch address.Transport {
	case "tcp", "unix":
		listening, err := listenSocket(address)
		if err != nil {
			return nil, address, err
		}
		if address.Transport == "tcp" {
			address.Place = listening.Addr().String()
		}
		return sockets{listening}, address, nil
	case "pipe":
		pipe, err := makePipe(address.Place)
		return pipe, address, err
	default:
		native, err := listenNative(address, options)
		return native, address, err
	}
}

func listenSocket(address Address) (net.Listener, error) {
	listening, err := net.Listen(address.Transport, address.Place)
	if err != nil || address.Transport != "unix" || address.isAbstract() {
		return listening, err
	}
	// Who may write to the file may connect.
	if err := os.Chmod(address.Place, 0o600); err != nil {
		listening.Close()
		return nil, err
	}
	return listening, nil
}

// Address is where the listener listens, with the port that the system chose.
func (l *Listener) Address() Address { return l.address }

// Accept waits for the next sender, whose messages the function, such as record.ReadRootRecord, reads.
// [net.ErrClosed] says that the listener was closed.
func Accept[T any](listener *Listener, read func(*capnp.Message) (T, error)) (*Receiver[T], error) {
	return AcceptContext(context.Background(), listener, read)
}

// AcceptContext accepts as Accept does, until the context is over. A sender that comes later is for the next
// who asks.
func AcceptContext[T any](
	ctx context.Context, listener *Listener, read func(*capnp.Message) (T, error),
) (*Receiver[T], error) {
	from, err := listener.turns.wait(ctx, listener.from.accept)
	if err != nil {
		return nil, err
	}
	return newReceiver(from, read), nil
}

// Close accepts no more, and ends an Accept that waits. What was accepted goes on.
func (l *Listener) Close() error {
	err := l.from.Close()
	l.turns.drain(func(from source) { from.Close() })
	return err
}

type sockets struct{ net.Listener }

func (s sockets) accept() (source, error) {
	conn, err := s.Accept()
	if err != nil {
		return nil, err
	}
	return newCodec(conn), nil
}
