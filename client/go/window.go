package shipmate

import (
	"context"
	"sync"

	"capnproto.org/go/capnp/v3/flowcontrol"
)

// DefaultWindow is a window for streams that suits most: it hides the time that a chunk is on its way.
const DefaultWindow = 256 << 10

// NewWindow limits how much a stream sends ahead of what its receiver has handled:
//
//	sink.SetFlowLimiter(shipmate.NewWindow(shipmate.DefaultWindow))
//
// From then on a streaming method (`-> stream` in the schema) waits while that many bytes are under way.
// Without it nothing holds a sender back. It counts all calls of the capability that it is set for, so
// give a stream one of its own. A message larger than the window goes alone.
func NewWindow(bytes uint64) flowcontrol.FlowLimiter {
	return &window{size: bytes, changed: make(chan struct{})}
}

// The library's own fixed limiter panics at a message that is larger than the limit.
type window struct {
	size uint64

	mutex    sync.Mutex
	underWay uint64
	changed  chan struct{} // Closed when underWay shrinks, and replaced.
}

// StartMessage waits for room. The library asks after it has queued the message, so that what it waits for
// is room for the next one; a message is counted at once, lest several senders pass together.
func (w *window) StartMessage(ctx context.Context, bytes uint64) (gotResponse func(), err error) {
	w.mutex.Lock()
	w.underWay += bytes
	w.mutex.Unlock()
	var once sync.Once
	gotResponse = func() { once.Do(func() { w.arrived(bytes) }) }
	for {
		w.mutex.Lock()
		full, changed := w.underWay >= w.size && w.underWay > bytes, w.changed
		w.mutex.Unlock()
		if !full {
			return gotResponse, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			gotResponse()
			return nil, ctx.Err()
		}
	}
}

func (w *window) arrived(bytes uint64) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.underWay -= bytes
	close(w.changed)
	w.changed = make(chan struct{})
}

// Release has nothing to release.
func (w *window) Release() {}
