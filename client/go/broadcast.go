package shipmate

import (
	"context"
	"errors"
	"fmt"

	"capnproto.org/go/capnp/v3"
)

// A Policy says what becomes of messages that are published faster than a subscriber receives them.
type Policy int

const (
	// PolicyBlock: the publisher waits for the subscriber, which gets every message.
	PolicyBlock Policy = 1 + iota
	// PolicyLoseOldest: the publisher does not wait, and the subscriber loses the oldest ones.
	PolicyLoseOldest
)

// A Publisher sends messages of one type to any number of subscribers: each is written once, into shared memory
// that all of them see. It is for one goroutine at a time.
type Publisher[T any] struct {
	sending[T]
	subscribed func(ctx context.Context, subscribers int) error
}

// OpenPublisher publishes at a shm: address messages of the type that a generated function such as
// record.NewRootRecord makes. Of a message nobody gets more than a quarter of the ring's bytes: see [WithRing].
func OpenPublisher[T any](
	address string, root func(*capnp.Segment) (T, error), options ...Option,
) (*Publisher[T], error) {
	parsed, err := parseShared(address)
	if err != nil {
		return nil, err
	}
	to, err := openNativePublisher(parsed, optionsOf(options))
	if err != nil {
		return nil, fmt.Errorf("shipmate: publish at %v: %w", parsed, err)
	}
	return &Publisher[T]{sending: newSending[T](to, root), subscribed: to.subscribed}, nil
}

// A publishing sink knows of its subscribers.
type publishing interface {
	sink
	subscribed(ctx context.Context, subscribers int) error
}

// Subscribed waits until there are so many subscribers.
func (p *Publisher[T]) Subscribed(ctx context.Context, subscribers int) error {
	if err := p.turns.settle(ctx); err != nil {
		return err
	}
	defer p.turns.give()
	return p.subscribed(ctx, subscribers)
}

// Publish publishes a message that the function fills in to all who have subscribed. It waits for those that
// block and have not read enough. After an error of the function, or for a message that is too large, nothing
// was published and the publisher goes on.
func (p *Publisher[T]) Publish(fill func(T) error) error { return p.send(context.Background(), fill) }

// PublishContext publishes as Publish does, and waits no longer than until the context is over. The message goes
// on its way then, too, and the next one waits for it.
func (p *Publisher[T]) PublishContext(ctx context.Context, fill func(T) error) error {
	return p.send(ctx, fill)
}

// Close ends: subscribers get what was published, and then the end. Of a message that is under way after its
// context was over it holds what [Sender.Close] says.
func (p *Publisher[T]) Close() error { return p.close() }

// A Subscriber receives what a [Publisher] publishes, in any language. When that is gone without having closed,
// that is [ErrDisconnected], after all that it has published.
type Subscriber[T any] struct{ Receiver[T] }

// OpenSubscriber subscribes to what is published from now on, which the function, such as record.ReadRootRecord,
// reads.
func OpenSubscriber[T any](
	ctx context.Context, address string, read func(*capnp.Message) (T, error), policy Policy, options ...Option,
) (*Subscriber[T], error) {
	parsed, err := parseShared(address)
	if err != nil {
		return nil, err
	}
	if policy != PolicyBlock && policy != PolicyLoseOldest {
		return nil, errors.New("shipmate: a subscriber's policy is PolicyBlock or PolicyLoseOldest")
	}
	from, err := openNativeSubscriber(ctx, parsed, policy, optionsOf(options))
	if err != nil {
		return nil, err
	}
	return &Subscriber[T]{*newReceiver(from, read)}, nil
}

// Lost says how many messages were lost since the subscription began, before the one that was received last: an
// exact count.
func (s *Subscriber[T]) Lost() uint64 { return s.lost }

// parseShared reads an address that one to many can be at.
func parseShared(address string) (Address, error) {
	parsed, err := ParseAddress(address)
	if err == nil && parsed.Transport != "shm" {
		err = &AddressError{Given: address, Expected: "shm:/path: one to many goes over shared memory alone"}
	}
	return parsed, err
}
