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
	// The numbers of capabilities of ours that were promises when the peer was given them.
	promises map[uint32]bool
}

// A resolution is a capability of the peer's with a number, or something else.
type resolution struct {
	number   uint32
	isNumber bool
}

func newGuard(codec *codec) *guard {
	return &guard{codec: codec, resolved: make(map[uint32]resolution), promises: make(map[uint32]bool)}
}

// Decode reads a message.
func (g *guard) Decode() (*capnp.Message, error) {
	for {
		message, err := g.codec.Decode()
		if err != nil {
			return nil, err
		}
		pass, err := g.check(message)
		switch {
		case err != nil:
			return nil, g.end(lost("the peer broke the protocol", err))
		case pass:
			return message, nil
		}
		message.Release()
	}
}

// Encode writes a message.
func (g *guard) Encode(message *capnp.Message) error {
	if root, err := rpccp.ReadRootMessage(message); err == nil {
		g.note(root)
	}
	return g.codec.Encode(message)
}

// note keeps in mind what the peer is told.
func (g *guard) note(root rpccp.Message) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	switch root.Which() {
	case rpccp.Message_Which_release:
		if release, err := root.Release(); err == nil {
			// The library gives all of its references back at once; after that the number may be another's.
			delete(g.resolved, release.Id())
		}
	case rpccp.Message_Which_call:
		if call, err := root.Call(); err == nil && call.HasParams() {
			g.noteCapabilities(call.Params())
		}
	case rpccp.Message_Which_return:
		if answer, err := root.Return(); err == nil && answer.Which() == rpccp.Return_Which_results {
			g.noteCapabilities(answer.Results())
		}
	case rpccp.Message_Which_resolve:
		if resolve, err := root.Resolve(); err == nil && resolve.Which() == rpccp.Resolve_Which_cap {
			if to, err := resolve.Cap(); err == nil {
				g.noteCapability(to)
			}
		}
	}
}

func (g *guard) noteCapabilities(payload rpccp.Payload, err error) {
	if err != nil {
		return
	}
	table, err := payload.CapTable()
	if err != nil {
		return
	}
	for i := range table.Len() {
		g.noteCapability(table.At(i))
	}
}

func (g *guard) noteCapability(capability rpccp.CapDescriptor) {
	switch capability.Which() {
	case rpccp.CapDescriptor_Which_senderPromise:
		g.promises[capability.SenderPromise()] = true
	case rpccp.CapDescriptor_Which_senderHosted:
		delete(g.promises, capability.SenderHosted())
	}
}

// check says whether the library gets a message.
func (g *guard) check(message *capnp.Message) (pass bool, err error) {
	root, err := rpccp.ReadRootMessage(message)
	if err != nil {
		return false, err
	}
	if body, err := capnp.Struct(root).Ptr(0); err != nil || !body.Struct().IsValid() {
		return false, errors.Join(errors.New("a message without its body"), err)
	}
	switch root.Which() {
	case rpccp.Message_Which_call:
		call, err := root.Call()
		if err != nil {
			return false, err
		}
		return true, checkTarget(call)
	case rpccp.Message_Which_resolve:
		resolve, err := root.Resolve()
		if err != nil {
			return false, err
		}
		return g.checkResolve(resolve)
	}
	return true, nil
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

func (g *guard) checkResolve(resolve rpccp.Resolve) (pass bool, err error) {
	to, err := resolutionOf(resolve)
	if err != nil {
		return false, err
	}
	promise := resolve.PromiseId()
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if _, is := g.resolved[promise]; is {
		return false, errors.New("a promise was resolved twice")
	}
	// None of these is in a circle yet, so that this ends.
	for next := to; next.isNumber; next = g.resolved[next.number] {
		if next.number == promise {
			return false, errors.New("a promise was resolved to itself")
		}
	}
	g.resolved[promise] = to
	isOpen, err := g.isOpen(resolve)
	return !isOpen, err
}

// isOpen says whether a promise of the peer's is resolved to something of ours that may wait for that promise: an
// answer, or a promise. The library would look for the end of that circle for ever. It is not told of it, and
// goes on to call by way of the peer, which is as right, and a little longer.
func (g *guard) isOpen(resolve rpccp.Resolve) (bool, error) {
	if resolve.Which() != rpccp.Resolve_Which_cap {
		return false, nil
	}
	to, err := resolve.Cap()
	if err != nil {
		return false, err
	}
	switch to.Which() {
	case rpccp.CapDescriptor_Which_receiverAnswer:
		return true, nil
	case rpccp.CapDescriptor_Which_receiverHosted:
		return g.promises[to.ReceiverHosted()], nil
	default:
		return false, nil
	}
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
