package shipmate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"

	"capnproto.org/go/capnp/v3"
)

// A Sender sends messages of one type, one way. A message is of Cap'n Proto's standard stream framing, so
// that any implementation can receive it, `capnp decode` and `shipmate recv` among them. It is for one
// goroutine at a time.
type Sender[T any] struct {
	codec *codec
	root  func(*capnp.Segment) (T, error)
}

// OpenSender connects to a receiver, for messages of the type that a generated function such as
// record.NewRootRecord makes. On a pipe: address it waits for a reader, until the context is over, and
// makes the pipe if it is missing; on others somebody must be listening.
func OpenSender[T any](
	ctx context.Context, address string, root func(*capnp.Segment) (T, error),
) (*Sender[T], error) {
	parsed, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	var stream io.ReadWriteCloser
	if parsed.Transport == "pipe" {
		stream, err = openPipeToWrite(ctx, parsed.Place)
	} else {
		stream, err = dial(ctx, address)
	}
	if err != nil {
		return nil, err
	}
	return &Sender[T]{codec: newCodec(stream), root: root}, nil
}

// Send sends a message that the function fills in. A slow receiver makes it wait. After an error of the
// function, or for a message over [MessageBytesMax], nothing was sent and the sender goes on; with
// [ErrDisconnected] the receiver is gone.
func (s *Sender[T]) Send(fill func(T) error) error {
	message, segment := capnp.NewMultiSegmentMessage(nil)
	defer message.Release()
	root, err := s.root(segment)
	if err != nil {
		return err
	}
	if err := fill(root); err != nil {
		return err
	}
	return s.codec.Encode(message)
}

// Close ends the stream: the receiver gets all that was sent, and then the end. Through libshipmate it
// waits until that is so.
func (s *Sender[T]) Close() error {
	if stream, is := s.codec.stream.(interface{ finish() error }); is {
		return errors.Join(stream.finish(), s.codec.Close())
	}
	return s.codec.Close()
}

// A Receiver receives messages of one type. It is for one goroutine at a time; Close is for any.
type Receiver[T any] struct {
	codec *codec
	read  func(*capnp.Message) (T, error)
}

// Receive waits for the next message, which may be kept. Its error is [io.EOF] when the sender has ended
// the stream, and [ErrDisconnected] when that was lost or makes no sense.
func (r *Receiver[T]) Receive() (T, error) {
	var none T
	message, err := r.codec.Decode()
	if err != nil {
		return none, err
	}
	value, err := r.read(message)
	if err != nil {
		return none, r.codec.end(lost("the peer broke the protocol", err))
	}
	return value, nil
}

// All gives the messages up to the end of the stream, and an error, as the last, if there is one.
func (r *Receiver[T]) All() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			value, err := r.Receive()
			if err == io.EOF || !yield(value, err) || err != nil {
				return
			}
		}
	}
}

// Close receives no more, and ends a Receive that waits.
func (r *Receiver[T]) Close() error { return r.codec.Close() }

// A Listener waits for senders at an address.
type Listener struct {
	address Address
	sockets net.Listener // nil for a pipe.
	pipe    *pipe
}

// Listen waits for senders at a tcp: (with port 0: any that is free), unix: or pipe: address. A pipe that
// is missing is made.
func Listen(address string) (*Listener, error) {
	parsed, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	listener := &Listener{address: parsed}
	switch parsed.Transport {
	case "tcp":
		listener.sockets, err = net.Listen("tcp", parsed.Place)
		if err == nil {
			listener.address.Place = listener.sockets.Addr().String()
		}
	case "unix":
		listener.sockets, err = net.Listen("unix", parsed.Place)
	case "pipe":
		listener.pipe, err = makePipe(parsed.Place)
	default:
		err = fmt.Errorf("%w: receive at a tcp:, unix: or pipe: address", errors.ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("shipmate: listen at %v: %w", parsed, err)
	}
	if unix, is := listener.sockets.(*net.UnixListener); is && !parsed.isAbstract() {
		// Who may write to the file may connect.
		if err := os.Chmod(parsed.Place, 0o600); err != nil {
			unix.Close()
			return nil, err
		}
	}
	return listener, nil
}

// Address is where the listener listens, with the port that the system chose.
func (l *Listener) Address() Address { return l.address }

// Accept waits for the next sender, whose messages the function, such as record.ReadRootRecord, reads.
// [net.ErrClosed] says that the listener was closed.
func Accept[T any](listener *Listener, read func(*capnp.Message) (T, error)) (*Receiver[T], error) {
	var stream io.ReadWriteCloser
	var err error
	if listener.pipe != nil {
		stream, err = listener.pipe.openToRead()
	} else {
		stream, err = listener.sockets.Accept()
	}
	if err != nil {
		return nil, err
	}
	return &Receiver[T]{codec: newCodec(stream), read: read}, nil
}

// Close accepts no more, and ends an Accept that waits. What was accepted goes on.
func (l *Listener) Close() error {
	if l.pipe != nil {
		return l.pipe.close()
	}
	return l.sockets.Close()
}
