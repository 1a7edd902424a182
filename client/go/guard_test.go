package shipmate

import (
	"bytes"
	"io"
	"testing"

	"capnproto.org/go/capnp/v3"
	rpccp "capnproto.org/go/capnp/v3/std/capnp/rpc"
)

// The library would go round for ever if these came before it has released the first.
func TestPromisesInACircleAreRefused(t *testing.T) {
	for name, circle := range map[string][][2]uint32{
		"of one":   {{5, 5}},
		"of two":   {{5, 6}, {6, 5}},
		"of three": {{7, 5}, {5, 6}, {6, 7}},
	} {
		t.Run(name, func(t *testing.T) {
			guard := newGuard(newCodec(&stream{read: resolves(t, circle)}))
			for range len(circle) - 1 {
				if _, err := guard.Decode(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := guard.Decode(); err == nil {
				t.Error("the circle was closed")
			}
		})
	}
}

// Not a circle: a number that was released is another's.
func TestAPromiseWhoseNumberWasReleasedIsAnother(t *testing.T) {
	guard := newGuard(newCodec(&stream{read: resolves(t, [][2]uint32{{5, 6}, {6, 5}, {5, 7}})}))
	for range 3 {
		if _, err := guard.Decode(); err != nil {
			t.Fatal(err)
		}
		for _, number := range []uint32{5, 6} {
			message := encoded(t, func(root rpccp.Message) error {
				release, err := root.NewRelease()
				release.SetId(number)
				return err
			})
			if err := guard.Encode(message); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func resolves(t *testing.T, pairs [][2]uint32) *bytes.Buffer {
	t.Helper()
	var all bytes.Buffer
	for _, pair := range pairs {
		message := encoded(t, func(root rpccp.Message) error {
			resolve, err := root.NewResolve()
			if err != nil {
				return err
			}
			resolve.SetPromiseId(pair[0])
			capability, err := resolve.NewCap()
			if err != nil {
				return err
			}
			capability.SetSenderPromise(pair[1])
			return nil
		})
		if err := capnp.NewEncoder(&all).Encode(message); err != nil {
			t.Fatal(err)
		}
	}
	return &all
}

func encoded(t *testing.T, build func(rpccp.Message) error) *capnp.Message {
	t.Helper()
	message, segment := capnp.NewSingleSegmentMessage(nil)
	root, err := rpccp.NewRootMessage(segment)
	if err == nil {
		err = build(root)
	}
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// A stream that has been read into memory.
type stream struct {
	read io.Reader
}

func (s *stream) Read(p []byte) (int, error)  { return s.read.Read(p) }
func (s *stream) Write(p []byte) (int, error) { return len(p), nil }
func (s *stream) Close() error                { return nil }
