package shipmate_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"

	"capnproto.org/go/capnp/v3"
	rpccp "capnproto.org/go/capnp/v3/std/capnp/rpc"

	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// An echoer gives back what it is given, in one of several manners.
type echoer struct {
	conformance.Conformance_Server
	echo func(conformance.Counter) conformance.Counter
}

func (e echoer) EchoCounter(_ context.Context, call conformance.Conformance_echoCounter) error {
	call.Go()
	results, err := call.AllocResults()
	if err != nil {
		return err
	}
	return results.SetCounter(e.echo(call.Args().Counter()))
}

// A hostile peer, which has been given an echoer.
type hostile struct {
	conn net.Conn
	in   *capnp.Decoder
	gate chan struct{}
}

func (h *hostile) say(messages ...string) {
	for _, message := range messages {
		_, _ = io.WriteString(h.conn, message)
	}
}

// next gives the next message of a kind; none when the connection is over.
func (h *hostile) next(kind rpccp.Message_Which) (rpccp.Message, bool) {
	for {
		message, err := h.in.Decode()
		if err != nil {
			return rpccp.Message{}, false
		}
		if root, err := rpccp.ReadRootMessage(message); err == nil && root.Which() == kind {
			return root, true
		}
	}
}

// nextPromise gives the number of the promise that the next answer has.
func (h *hostile) nextPromise() uint32 {
	message, _ := h.next(rpccp.Message_Which_return)
	answer, err := message.Return()
	if err != nil {
		return 0
	}
	results, err := answer.Results()
	if err != nil {
		return 0
	}
	table, err := results.CapTable()
	if err != nil || table.Len() == 0 {
		return 0
	}
	return table.At(0).SenderPromise()
}

// isAnswered says whether a question is answered before the connection is over.
func (h *hostile) isAnswered(question uint32) bool {
	for {
		message, open := h.next(rpccp.Message_Which_return)
		if !open {
			return false
		}
		if answer, err := message.Return(); err == nil && answer.AnswerId() == question {
			return true
		}
	}
}

// The peer resolves a promise of its own to something of ours that waits for that promise. The library would go
// round in this circle for ever, where nothing can end it.
func TestAPromiseThatIsResolvedToWhatWaitsForIt(t *testing.T) {
	const promise, question, other = 5, 1, 2
	for name, test := range map[string]struct {
		// What the program gives back of what it is given.
		echo func(given conformance.Counter, gate, settled chan struct{}) conformance.Counter
		// What the peer does then, before or after it opens the gate.
		behave func(peer *hostile)
	}{
		"an answer that was given": {giveBack, func(peer *hostile) {
			close(peer.gate)
			peer.isAnswered(question)
			peer.say(resolveTo(promise, answerOf(question)))
		}},
		"an answer to come": {giveBack, func(peer *hostile) {
			peer.say(resolveTo(promise, answerOf(question)), callEcho(other))
			peer.isAnswered(other)
			close(peer.gate)
			peer.isAnswered(question)
		}},
		"a promise": {givePromise, func(peer *hostile) {
			peer.say(resolveTo(promise, hostedByReceiver(peer.nextPromise())), callEcho(other))
			peer.isAnswered(other)
			close(peer.gate)
		}},
		"a promise that was resolved": {givePromise, func(peer *hostile) {
			ours := peer.nextPromise()
			close(peer.gate)
			peer.next(rpccp.Message_Which_resolve)
			peer.say(resolveTo(promise, hostedByReceiver(ours)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			gate, settled, goesOn := make(chan struct{}), make(chan struct{}), make(chan bool, 1)
			address := peer(t, func(conn net.Conn) {
				hostile := &hostile{conn, capnp.NewDecoder(bufio.NewReader(conn)), gate}
				hostile.next(rpccp.Message_Which_call)
				hostile.say(callEcho(question, func(to rpccp.CapDescriptor) { to.SetSenderPromise(promise) }))
				test.behave(hostile)
				hostile.say(callEcho(other + 1))
				goesOn <- hostile.isAnswered(other + 1)
			})
			conn, service := connect(t, address)
			echoer := echoer{echo: func(given conformance.Counter) conformance.Counter {
				if !given.IsValid() {
					return given
				}
				return test.echo(given.AddRef(), gate, settled)
			}}
			_, release := service.Call(within(t), func(p conformance.Conformance_call_Params) error {
				return p.SetCallback(conformance.Callback(conformance.Conformance_ServerToClient(echoer)))
			})
			defer func() { go release() }()
			if goesOn, _ := receive(t, goesOn); !goesOn {
				t.Errorf("the connection ended: %v", conn.Err())
			}
			receive(t, settled)
			conn.Close()
			receive(t, conn.Done())
		})
	}
}

// giveBack gives back what it is given when the gate is opened.
func giveBack(given conformance.Counter, gate, settled chan struct{}) conformance.Counter {
	<-gate
	close(settled)
	return given
}

// givePromise gives at once what will be that.
func givePromise(given conformance.Counter, gate, settled chan struct{}) conformance.Counter {
	promise, resolver := capnp.NewLocalPromise[conformance.Counter]()
	go func() {
		<-gate
		resolver.Fulfill(given)
		close(settled)
	}()
	return promise
}

func hostedByReceiver(id uint32) func(rpccp.CapDescriptor) {
	return func(to rpccp.CapDescriptor) { to.SetReceiverHosted(id) }
}

// answerOf is the first pointer of an answer of ours.
func answerOf(question uint32) func(rpccp.CapDescriptor) {
	return func(to rpccp.CapDescriptor) {
		answer, err := to.NewReceiverAnswer()
		if err != nil {
			panic(err)
		}
		answer.SetQuestionId(question)
		transform, err := answer.NewTransform(1)
		if err != nil {
			panic(err)
		}
		transform.At(0).SetGetPointerField(0)
	}
}

// callEcho calls the first capability that the client has given.
func callEcho(question uint32, capabilities ...func(rpccp.CapDescriptor)) string {
	return message(func(root rpccp.Message) error {
		call, err := root.NewCall()
		if err != nil {
			return err
		}
		call.SetQuestionId(question)
		call.SetInterfaceId(conformance.Conformance_TypeID)
		call.SetMethodId(14)
		target, err := call.NewTarget()
		if err != nil {
			return err
		}
		target.SetImportedCap(0)
		payload, err := call.NewParams()
		if err != nil {
			return err
		}
		return setCapabilities(payload, capabilities...)
	})
}

// setCapabilities makes a struct of them, which the parameters and the results of echoCounter are.
func setCapabilities(payload rpccp.Payload, capabilities ...func(rpccp.CapDescriptor)) error {
	holder, err := capnp.NewStruct(payload.Segment(), capnp.ObjectSize{PointerCount: 1})
	if err != nil {
		return err
	}
	table, err := payload.NewCapTable(int32(len(capabilities)))
	if err != nil {
		return err
	}
	for i, set := range capabilities {
		set(table.At(i))
		capability := capnp.NewInterface(payload.Segment(), capnp.CapabilityID(i))
		if err := holder.SetPtr(0, capability.ToPtr()); err != nil {
			return err
		}
	}
	return payload.SetContent(holder.ToPtr())
}
