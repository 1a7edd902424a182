package shipmate

import "capnproto.org/go/capnp/v3"

// A Message was received and is read where it is. Over shared memory that is, if the tier says so, where its
// sender has built it, and the sender gets the memory back by Release.
type Message[T any] struct {
	// Root is what the message says. Nothing that was got of it without a copy (bytes, lists, structs, but not
	// strings) may be used after Release.
	Root T

	message *capnp.Message
}

// Segments gives the bytes of the message, which are not copied either, and are not to be written to.
func (m *Message[T]) Segments() [][]byte { return segmentsOf(m.message) }

// Release gives the memory back, once; it may be done after the receiver was closed, too.
func (m *Message[T]) Release() {
	if m.message != nil {
		m.message.Release()
		m.message = nil
	}
}

// A lentArena has a message that is in memory of somebody else, who gets it back.
type lentArena struct {
	capnp.Arena
	giveBack func()
}

func (a *lentArena) Release() {
	a.Arena.Release()
	a.giveBack()
}

// kept makes of a message that may be lent one that may be kept.
func kept(message *capnp.Message) (*capnp.Message, error) {
	if _, isLent := message.Arena.(*lentArena); !isLent {
		return message, nil
	}
	defer message.Release()
	segments := segmentsOf(message)
	size := 0
	for _, segment := range segments {
		size += len(segment)
	}
	// One piece of memory for all.
	copied := make([]byte, 0, size)
	for i, segment := range segments {
		start := len(copied)
		copied = append(copied, segment...)
		segments[i] = copied[start:len(copied):len(copied)]
	}
	own, _, err := capnp.NewMessage(capnp.MultiSegment(segments))
	return own, err
}

func segmentsOf(message *capnp.Message) [][]byte {
	if message == nil {
		return nil
	}
	segments := make([][]byte, message.NumSegments())
	for i := range segments {
		if segment, err := message.Segment(capnp.SegmentID(i)); err == nil {
			segments[i] = segment.Data()
		}
	}
	return segments
}
