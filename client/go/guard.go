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
	// The peer's promises that were resolved and that the library has not released.
	resolved map[uint32]bool
}

func newGuard(codec *codec) *guard { return &guard{codec: codec, resolved: make(map[uint32]bool)} }

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
	promise := resolve.PromiseId()
	if resolve.Which() == rpccp.Resolve_Which_cap {
		to, err := resolve.Cap()
		if err != nil {
			return err
		}
		if to.Which() == rpccp.CapDescriptor_Which_senderHosted && to.SenderHosted() == promise ||
			to.Which() == rpccp.CapDescriptor_Which_senderPromise && to.SenderPromise() == promise {
			return errors.New("a promise was resolved to itself")
		}
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.resolved[promise] {
		return errors.New("a promise was resolved twice")
	}
	g.resolved[promise] = true
	return nil
}
