package shipmate

import (
	"context"
	"errors"

	"capnproto.org/go/capnp/v3"
)

const wordBytes = 8

// A Loan is a message to build in memory of its sender. Over shared memory, 32 KiB and more are memory that
// the receiver sees, so that sending copies nothing. Give it to exactly one of Publish and Cancel.
type Loan[T any] struct {
	// Root is to be filled in, until the loan is given back.
	Root T

	sender  *Sender[T]
	message *capnp.Message // nil once it was given back.
	memory  lentMemory
}

// A lender is a sink that lends memory to build a message in.
type lender interface {
	lend(bytes int) (lentMemory, error)
}

// Memory of zeros, to be given back by one of the last two.
type lentMemory interface {
	bytes() []byte
	publish(used int) error
	cancel()
}

// Loan lends memory for a message of so many bytes: as many as all of it needs, or somewhat more. What does not
// fit goes on elsewhere, and all of it is then copied when it is sent. A sender may lend several at once.
//
// It waits for nothing but a message that is still under way after its context was over.
func (s *Sender[T]) Loan(ctx context.Context, bytes int) (*Loan[T], error) {
	if bytes < 0 || bytes > MessageBytesMax {
		return nil, tooLarge(uint64(bytes))
	}
	if err := s.turns.settle(ctx); err != nil {
		return nil, err
	}
	defer s.turns.give()
	memory, err := lend(s.sink, max((bytes+wordBytes-1)/wordBytes, 1)*wordBytes)
	if err != nil {
		return nil, err
	}
	message, segment, err := capnp.NewMessage(newLoanArena(memory.bytes()))
	if err != nil {
		memory.cancel()
		return nil, err
	}
	root, err := s.root(segment)
	if err != nil {
		message.Release()
		memory.cancel()
		return nil, err
	}
	return &Loan[T]{Root: root, sender: s, message: message, memory: memory}, nil
}

// Publish sends the message, as [Sender.SendContext] does, and gives the loan back, also when it fails.
func (l *Loan[T]) Publish(ctx context.Context) error {
	message := l.message
	if message == nil {
		return errors.New("shipmate: a loan is given back once, and this one was before")
	}
	l.message = nil
	return l.sender.submit(ctx, func() error {
		if message.NumSegments() > 1 {
			defer l.memory.cancel()
			defer message.Release()
			return l.sender.sink.Encode(message)
		}
		first, err := message.Segment(0)
		if err != nil {
			return err
		}
		used := len(first.Data())
		// What points there is of no use any more.
		message.Release()
		return l.memory.publish(used)
	}, func() {
		message.Release()
		l.memory.cancel()
	})
}

// Cancel gives the loan back and sends nothing. After Publish it does nothing.
func (l *Loan[T]) Cancel() {
	if l.message == nil {
		return
	}
	l.message.Release()
	l.message = nil
	l.memory.cancel()
}

// lend gives memory of the sink's, or else of the program's own.
func lend(sink sink, bytes int) (lentMemory, error) {
	if lender, is := sink.(lender); is {
		return lender.lend(bytes)
	}
	return &ownMemory{memory: make([]byte, bytes), sink: sink}, nil
}

// Where the sink has none to lend.
type ownMemory struct {
	memory []byte
	sink   sink
}

func (o *ownMemory) bytes() []byte { return o.memory }

func (o *ownMemory) publish(used int) error {
	message := &capnp.Message{Arena: capnp.SingleSegment(o.memory[:used])}
	return o.sink.Encode(message)
}

func (o *ownMemory) cancel() {}
