package shipmate

import "capnproto.org/go/capnp/v3"

// A loanArena has memory that was lent for its first segment, and takes its own for what does not fit there.
//
// The library does not export the type of an address, which a method of [capnp.Arena] has: it is inferred.
type loanArena[address any] struct {
	lent           capnp.Arena
	others         capnp.Arena
	inLoan, beyond allocate[address]
}

type allocate[address any] func(capnp.Size, *capnp.Message, *capnp.Segment) (*capnp.Segment, address, error)

// newLoanArena makes an arena of memory whose length is a multiple of a word.
func newLoanArena(memory []byte) capnp.Arena {
	lent, others := capnp.SingleSegment(memory[:0:len(memory)]), capnp.MultiSegment(nil)
	return loanArenaOf(lent, others, lent.Allocate, others.Allocate)
}

func loanArenaOf[address any](lent, others capnp.Arena, inLoan, beyond allocate[address]) *loanArena[address] {
	return &loanArena[address]{lent: lent, others: others, inLoan: inLoan, beyond: beyond}
}

func (a *loanArena[_]) NumSegments() int64 { return max(a.others.NumSegments(), 1) }

func (a *loanArena[_]) Segment(id capnp.SegmentID) *capnp.Segment {
	if id == 0 {
		return a.lent.Segment(0)
	}
	return a.others.Segment(id)
}

func (a *loanArena[address]) Allocate(
	size capnp.Size, message *capnp.Message, preferred *capnp.Segment,
) (*capnp.Segment, address, error) {
	first := a.lent.Segment(0)
	switch {
	// The library counts on it that one which has room is taken.
	case preferred != nil && preferred != first && hasRoom(preferred, size):
		return a.beyond(size, message, preferred)
	case hasRoom(first, size):
		return a.inLoan(size, message, first)
	}
	if a.others.NumSegments() == 0 {
		// The first of the others would have the number of the loan: it is filled up, and never shown.
		hidden, at, err := a.beyond(0, message, nil)
		if err == nil {
			_, at, err = a.beyond(capnp.Size(cap(hidden.Data())), message, hidden)
		}
		if err != nil {
			return nil, at, err
		}
	}
	return a.beyond(size, message, nil)
}

func hasRoom(segment *capnp.Segment, size capnp.Size) bool {
	return int(size) <= cap(segment.Data())-len(segment.Data())
}

func (a *loanArena[_]) Release() {
	a.lent.Release()
	a.others.Release()
}
