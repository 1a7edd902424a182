package shipmate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"capnproto.org/go/capnp/v3"
	"capnproto.org/go/capnp/v3/rpc"
	"capnproto.org/go/capnp/v3/rpc/transport"
)

const (
	// MessageBytesMax is the size of the largest message that is sent and received, as in all of Shipmate.
	MessageBytesMax = 64 << 20

	// Reading counts each value that is followed to, each time (an attack may have pointers overlap). So
	// that a program may read a large message several times, more is allowed than a message has.
	readBytesMax = 8 * MessageBytesMax

	readBufferBytes = 32 << 10
)

// A codec reads and writes messages in Cap'n Proto's standard stream framing. When that ends it knows why,
// and says so by an [ErrDisconnected].
type codec struct {
	stream  io.ReadWriteCloser
	encoder *capnp.Encoder
	decoder *capnp.Decoder

	ending
}

// An ending is why a stream ended: the first reason of all that there are.
type ending struct {
	mutex sync.Mutex
	why   error
}

func newCodec(stream io.ReadWriteCloser) *codec {
	decoder := capnp.NewDecoder(bufio.NewReaderSize(stream, readBufferBytes))
	decoder.MaxMessageSize = MessageBytesMax
	return &codec{stream: stream, encoder: capnp.NewEncoder(stream), decoder: decoder}
}

func newTransport(codec *codec) rpc.Transport { return transport.New(newGuard(codec)) }

// Encode writes a message.
func (c *codec) Encode(message *capnp.Message) error {
	if err := c.err(); errors.Is(err, net.ErrClosed) {
		// The library says a last word when it is closed, of an error; but a close is none.
		return err
	}
	size, err := message.TotalSize()
	if err != nil {
		return err
	}
	if size > MessageBytesMax {
		return tooLarge(size)
	}
	if err := c.encoder.Encode(message); err != nil {
		// Part of it may have been written, after which nothing can follow.
		return c.end(lost("writing to it failed", err))
	}
	return nil
}

// Decode reads a message. Its error is [io.EOF], bare, at the end of the stream.
func (c *codec) Decode() (*capnp.Message, error) {
	message, err := c.read()
	if err != nil {
		return nil, err
	}
	if err := admit(message); err != nil {
		return nil, c.end(lost("the peer broke the protocol", err))
	}
	return message, nil
}

// read reads a message that is not admitted yet.
func (c *codec) read() (*capnp.Message, error) {
	message, err := c.decoder.Decode()
	switch {
	case err == nil:
		return message, nil
	case err == io.EOF:
		c.end(lost("the peer closed it", err))
		return nil, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, c.end(lost("the peer closed it in the middle of a message", err))
	case isOfTheSystem(err):
		return nil, c.end(lost("reading from it failed", err))
	default:
		return nil, c.end(lost("the peer broke the protocol", err))
	}
}

// admit makes a message of a peer one that can be read without harm.
func admit(message *capnp.Message) error {
	message.TraverseLimit = readBytesMax
	return checkPointers(message)
}

func tooLarge(size uint64) error {
	return fmt.Errorf("shipmate: a message of %d bytes is too large: send at most %d, or a stream of parts",
		size, MessageBytesMax)
}

func (c *codec) next() (received, error) {
	message, err := c.read()
	return received{message: message}, err
}

func (c *codec) finish() error { return c.Close() }

func (c *codec) abandon() { _ = c.Close() }

// Close closes the stream.
func (c *codec) Close() error { return c.stream.Close() }

// end notes why the stream ended, if it is the first to know, and gives back the first reason.
func (e *ending) end(why error) error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.why == nil {
		e.why = why
	}
	return e.why
}

func (e *ending) err() error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.why
}

func isOfTheSystem(err error) bool {
	var ofNet net.Error
	var ofFile *os.PathError
	return errors.As(err, &ofNet) || errors.As(err, &ofFile) || errors.Is(err, net.ErrClosed)
}
