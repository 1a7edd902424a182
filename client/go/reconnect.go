package shipmate

import (
	"context"
	"math/rand/v2"
	"time"
)

// Reconnect says what a [Connector] does when it cannot connect. The zero value: never try again.
type Reconnect struct {
	// Attempts is how many in a row may fail before the last error is reported. 0: there is one attempt,
	// and no second connection after the first.
	Attempts int
	// First is the pause after the first attempt. Each pause is twice the one before, up to Max, and is
	// shortened by a random part of up to half, so that the clients of a restarted server do not all come
	// at once.
	First, Max time.Duration
}

// BackOff tries again after 50 ms and up to 5 s, until so many attempts in a row have failed.
func BackOff(attempts int) Reconnect {
	return Reconnect{Attempts: attempts, First: 50 * time.Millisecond, Max: 5 * time.Second}
}

// pause is how long to wait after so many failed attempts.
func (r Reconnect) pause(failed int) time.Duration {
	pause := r.First
	for range failed - 1 {
		if pause >= r.Max {
			break
		}
		pause *= 2
	}
	pause = min(pause, r.Max)
	return pause - time.Duration(rand.Float64()*float64(pause)/2)
}

// A Connector has a connection ready for as long as there is a server. Calls in flight fail with
// [ErrDisconnected] when the connection ends, and are never repeated: ask for the connection again, and
// decide what to do about them.
type Connector struct {
	address string
	policy  Reconnect
	// Holds the current connection, for one at a time: who comes meanwhile waits for its result.
	current chan *Conn
}

// NewConnector makes no connection yet.
func NewConnector(address string, policy Reconnect) *Connector {
	connector := &Connector{address: address, policy: policy, current: make(chan *Conn, 1)}
	connector.current <- nil
	return connector
}

// Conn gives the current connection, or a new one if there is none or it is over. Its error is that of the
// last attempt; with the zero policy, after the first connection, that which ended it.
func (c *Connector) Conn(ctx context.Context) (*Conn, error) {
	var current *Conn
	select {
	case current = <-c.current:
	case <-ctx.Done():
		return nil, ErrorOf(ctx.Err())
	}
	defer func() { c.current <- current }()
	if current != nil {
		if err := current.Err(); err == nil || c.policy.Attempts == 0 {
			return current, err
		}
	}
	next, err := c.connect(ctx)
	if err == nil {
		current = next
	}
	return next, err
}

func (c *Connector) connect(ctx context.Context) (*Conn, error) {
	for failed := 1; ; failed++ {
		conn, err := Connect(ctx, c.address)
		if err == nil || failed >= c.policy.Attempts {
			return conn, err
		}
		select {
		case <-time.After(c.policy.pause(failed)):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// Close closes the current connection, if there is one.
func (c *Connector) Close() error {
	current := <-c.current
	defer func() { c.current <- current }()
	if current == nil {
		return nil
	}
	return current.Close()
}
