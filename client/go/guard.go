package shipmate

import (
	"errors"
	"sync"

	"capnproto.org/go/capnp/v3"
	rpccp "capnproto.org/go/capnp/v3/std/capnp/rpc"
)

// A guard keeps from the library those messages of a peer that break the protocol in a way at which the
// library would panic, on a goroutine of its own, where nobody can recover, or wait for ever. One such message
// is the end of the connection.
type guard struct {
	*codec

	mutex sync.Mutex
	// The peer's promises that were resolved and that the library has not released, and to what.
	resolved map[uint32]resolution
}

// A resolution is a capability of the peer's with a number, or something else.
type resolution struct {
	number   uint32
	isNumber bool
}

func newGuard(codec *codec) *guard {
	return &guard{codec: codec, resolved: make(map[uint32]resolution)}
}

// Decode reads a message.
func (g *guard) Decode() (*capnp.Message, error) {
	message, err := g.codec.Decode()
	if err != nil {
		return nil, err
	}
	if err := g.check(message); err != nil {
		return nil, g.end(lost("the peer broke the protocol", err))
	}
	return message, nil
}

// Encode writes a message.
func (g *guard) Encode(message *capnp.Message) error {
	if root, err := rpccp.ReadRootMessage(message); err == nil && root.Which() == rpccp.Message_Which_release {
		if release, err := root.Release(); err == nil {
			// The library gives all of its references back at once; after that the number may be another's.
			g.mutex.Lock()
			delete(g.resolved, release.Id())
			g.mutex.Unlock()
		}
	}
	return g.codec.Encode(message)
}

func (g *guard) check(message *capnp.Message) error {
	root, err := rpccp.ReadRootMessage(message)
	if err != nil {
		return err
	}
	if body, err := capnp.Struct(root).Ptr(0); err != nil || !body.Struct().IsValid() {
		return errors.Join(errors.New("a message without its body"), err)
	}
	switch root.Which() {
	case rpccp.Message_Which_call:
		call, err := root.Call()
		if err != nil {
			return err
		}
		return checkTarget(call)
	case rpccp.Message_Which_resolve:
		resolve, err := root.Resolve()
		if err != nil {
			return err
		}
		return g.checkResolve(resolve)
	}
	return nil
}

func checkTarget(call rpccp.Call) error {
	target, err := call.Target()
	if err != nil || target.Which() != rpccp.MessageTarget_Which_promisedAnswer {
		return err
	}
	answer, err := target.PromisedAnswer()
	if err == nil && answer.QuestionId() == call.QuestionId() {
		return errors.New("a call on its own result")
	}
	return err
}

func (g *guard) checkResolve(resolve rpccp.Resolve) error {
	to, err := resolutionOf(resolve)
	if err != nil {
		return err
	}
	promise := resolve.PromiseId()
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if _, is := g.resolved[promise]; is {
		return errors.New("a promise was resolved twice")
	}
	// None of these is in a circle yet, so that this ends.
	for next := to; next.isNumber; next = g.resolved[next.number] {
		if next.number == promise {
			return errors.New("a promise was resolved to itself")
		}
	}
	g.resolved[promise] = to
	return nil
}

func resolutionOf(resolve rpccp.Resolve) (resolution, error) {
	if resolve.Which() != rpccp.Resolve_Which_cap {
		return resolution{}, nil
	}
	to, err := resolve.Cap()
	if err != nil {
		return resolution{}, err
	}
	switch to.Which() {
	case rpccp.CapDescriptor_Which_senderHosted:
		return resolution{to.SenderHosted(), true}, nil
	case rpccp.CapDescriptor_Which_senderPromise:
		return resolution{to.SenderPromise(), true}, nil
	case rpccp.CapDescriptor_Which_thirdPartyHosted:
		// The library takes the vine, as if it were the sender's own.
		third, err := to.ThirdPartyHosted()
		return resolution{third.VineId(), true}, err
	default:
		return resolution{}, nil
	}
}
