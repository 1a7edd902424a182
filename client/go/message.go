package shipmate

import (
	"context"
	"errors"
	"io"
	"iter"

	"capnproto.org/go/capnp/v3"
)

// A Sender sends messages of one type, one way. A message is of Cap'n Proto's standard stream framing, so
// that any implementation can receive it, `capnp decode` and `shipmate recv` among them; over shared memory
// those of Shipmate can. It is for one goroutine at a time.
type Sender[T any] struct{ sending[T] }

// OpenSender connects to a receiver, for messages of the type that a generated function such as
// record.NewRootRecord makes. On a pipe: address it waits for a reader, until the context is over, and
// makes the pipe if it is missing; on others somebody must be listening, and over shared memory it waits until
// that one accepts, ten seconds if the context does not say.
func OpenSender[T any](
	ctx context.Context, address string, root func(*capnp.Segment) (T, error), options ...Option,
) (*Sender[T], error) {
	parsed, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	to, err := openSink(ctx, parsed, optionsOf(options))
	if err != nil {
		return nil, err
	}
	return &Sender[T]{newSending(to, root)}, nil
}

func openSink(ctx context.Context, address Address, options options) (sink, error) {
	var stream io.ReadWriteCloser
	var err error
	switch address.Transport {
	case "tcp", "unix":
		stream, err = dial(ctx, address)
	case "pipe":
		stream, err = openPipeToWrite(ctx, address.Place)
	default:
		return openNativeSender(ctx, address, options)
	}
	if err != nil {
		return nil, err
	}
	return newCodec(stream), nil
}

// Send sends a message that the function fills in. A slow receiver makes it wait. After an error of the
// function, or for a message over [MessageBytesMax], nothing was sent and the sender goes on; with
// [ErrDisconnected] the receiver is gone.
func (s *Sender[T]) Send(fill func(T) error) error { return s.send(context.Background(), fill) }

// SendContext sends as Send does, and waits no longer than until the context is over. The message goes on its
// way then, too, and the next one waits for it.
func (s *Sender[T]) SendContext(ctx context.Context, fill func(T) error) error {
	return s.send(ctx, fill)
}

// Close ends the stream: the receiver gets all that was sent, and then the end. It does not wait for a message
// that is under way after its context was over, of which part may arrive, and its error says so.
func (s *Sender[T]) Close() error { return s.close() }

// A sink is where messages go to: a codec, or what libshipmate has for that.
type sink interface {
	// Encode sends a message. Only after an [ErrDisconnected] nothing can follow.
	Encode(message *capnp.Message) error
	// finish ends the stream after all that was sent. What was closed already is [net.ErrClosed].
	finish() error
	// abandon ends it while a message is under way, and waits for nothing.
	abandon()
}

// Sending is what a [Sender] and a [Publisher] do.
type sending[T any] struct {
	sink  sink
	root  func(*capnp.Segment) (T, error)
	turns *turns[struct{}]
}

func newSending[T any](to sink, root func(*capnp.Segment) (T, error)) sending[T] {
	return sending[T]{sink: to, root: root, turns: newTurns[struct{}]()}
}

func (s *sending[T]) send(ctx context.Context, fill func(T) error) error {
	message, segment := capnp.NewMultiSegmentMessage(nil)
	root, err := s.root(segment)
	if err == nil {
		err = fill(root)
	}
	if err != nil {
		message.Release()
		return err
	}
	return s.submit(ctx, func() error {
		defer message.Release()
		return s.sink.Encode(message)
	}, message.Release)
}

// submit does the work, which sends a message, or otherwise the last.
func (s *sending[T]) submit(ctx context.Context, work func() error, otherwise func()) error {
	_, err := s.turns.follow(ctx, func() (struct{}, error) { return struct{}{}, work() }, otherwise)
	return err
}

func (s *sending[T]) close() error {
	if s.turns.isLate() {
		s.sink.abandon()
		return errors.New("shipmate: closed while a message was under way: whether it arrives is not known")
	}
	return s.sink.finish()
}

// A Receiver receives messages of one type. It is for one goroutine at a time; Close is for any.
type Receiver[T any] struct {
	source source
	read   func(*capnp.Message) (T, error)
	turns  *turns[received]
	lost   uint64
}

// A source is where messages come from: a codec, or what libshipmate has for that.
type source interface {
	// next gives a message, not admitted yet, which may be lent. Its error is [io.EOF], bare, at the end of the stream.
	next() (received, error)
	// end notes why the stream ended, if nothing has before, and gives back the first reason.
	end(why error) error
	// Close ends a next that waits, with an error.
	Close() error
}

type received struct {
	message *capnp.Message
	// How many were lost before it, of all.
	lost uint64
}

func newReceiver[T any](from source, read func(*capnp.Message) (T, error)) *Receiver[T] {
	return &Receiver[T]{source: from, read: read, turns: newTurns[received]()}
}

// Receive waits for the next message, which may be kept. Its error is [io.EOF] when the sender has ended
// the stream, and [ErrDisconnected] when that was lost or makes no sense.
func (r *Receiver[T]) Receive() (T, error) { return r.ReceiveContext(context.Background()) }

// ReceiveContext receives as Receive does, until the context is over. Nothing is lost by that: a message that
// comes later is for the next who asks.
func (r *Receiver[T]) ReceiveContext(ctx context.Context) (T, error) {
	message, err := r.receive(ctx, kept)
	if err != nil {
		var none T
		return none, err
	}
	return message.Root, nil
}

// ReceiveInPlace receives as ReceiveContext does, and copies nothing: see [Message], which is to be released.
func (r *Receiver[T]) ReceiveInPlace(ctx context.Context) (*Message[T], error) {
	return r.receive(ctx, func(message *capnp.Message) (*capnp.Message, error) { return message, nil })
}

func (r *Receiver[T]) receive(
	ctx context.Context, prepare func(*capnp.Message) (*capnp.Message, error),
) (*Message[T], error) {
	received, err := r.turns.wait(ctx, r.source.next)
	if err != nil {
		return nil, err
	}
	r.lost = received.lost
	message, err := prepare(received.message)
	if err != nil {
		return nil, err
	}
	err = admit(message)
	var root T
	if err == nil {
		root, err = r.read(message)
	}
	if err != nil {
		message.Release()
		return nil, r.source.end(lost("the peer broke the protocol", err))
	}
	return &Message[T]{Root: root, message: message}, nil
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

// Close receives no more, and ends a Receive that waits. What was received in place is still to be released.
func (r *Receiver[T]) Close() error {
	err := r.source.Close()
	r.turns.drain(func(received received) { received.message.Release() })
	return err
}
