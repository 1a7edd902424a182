package shipmate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"capnproto.org/go/capnp/v3"
	"capnproto.org/go/capnp/v3/exc"
	"capnproto.org/go/capnp/v3/rpc"
	"capnproto.org/go/capnp/v3/rpc/transport"
	rpccp "capnproto.org/go/capnp/v3/std/capnp/rpc"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/arith"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

type service = conformance.Conformance

func connect(t *testing.T, address string) (*shipmate.Conn, service) {
	t.Helper()
	conn, err := shipmate.Connect(within(t), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, shipmate.Bootstrap[service](conn)
}

func expect(t *testing.T, what string, seen, expected error) {
	t.Helper()
	if !errors.Is(seen, expected) {
		t.Errorf("%s: expected the error %q and saw %v", what, expected, seen)
	}
}

func echo(ctx context.Context, service service, text string) error {
	result, release, err := shipmate.Call(ctx, service.Text,
		func(p conformance.Conformance_text_Params) error { return p.SetValue(text) })
	if err != nil {
		return err
	}
	defer release()
	seen, err := result.Value()
	if err == nil && seen != text {
		err = fmt.Errorf("expected %q and saw %q", text, seen)
	}
	return err
}

// counts gives how many calls of hang wait, and how many were cancelled.
func counts(t *testing.T, service service) [2]uint32 {
	t.Helper()
	result, release, err := shipmate.Call(within(t), service.Hanging, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	return [2]uint32{result.Waiting(), result.Cancelled()}
}

func untilCounts(t *testing.T, service service, expected [2]uint32) {
	t.Helper()
	for end := time.Now().Add(generous); ; time.Sleep(time.Millisecond) {
		seen := counts(t, service)
		if seen == expected {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waiting and cancelled: expected %v and saw %v", expected, seen)
		}
	}
}

func TestAWrongAddressGetsTheRightForm(t *testing.T) {
	for _, address := range []string{"", "nowhere", "http://ship", "tcp:host", "tcp::1", "tcp:host:x", "tcp:::1:7",
		"tcp:host:70000", "tcp:[host]:7", "unix:", "unix:@", "unix:/" + strings.Repeat("x", 107), "pipe:", "shm:",
		"auto:", "unix:/a\x00b"} {
		_, err := shipmate.Connect(within(t), address)
		var wrong *shipmate.AddressError
		if !errors.As(err, &wrong) || wrong.Given != address || wrong.Expected == "" {
			t.Errorf("%q: expected an AddressError and saw %v", address, err)
		}
	}
	for _, address := range []string{"tcp:localhost:1", "tcp:[::1]:0", "unix:/a", "unix:b/c", "unix:@name", "pipe:p",
		"shm:/s", "auto:/s"} {
		parsed, err := shipmate.ParseAddress(address)
		if err != nil || parsed.String() != address {
			t.Errorf("%q: expected the same and saw %v, %v", address, parsed, err)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, address := range []string{"tcp:" + gone.Addr().String(), "unix:" + filepath.Join(t.TempDir(), "nobody"),
		"unix:@nobody-is-here-" + filepath.Base(t.TempDir())} {
		_, err := shipmate.Connect(within(t), address)
		expect(t, address, err, shipmate.ErrUnreachable)
	}
	for _, transport := range nativeTransports {
		address := transport + ":" + filepath.Join(t.TempDir(), "nobody")
		_, err := shipmate.Connect(within(t), address)
		expect(t, address, err, shipmate.ErrUnreachable)
	}
}

func TestWithoutTheLibraryOtherTransportsSayHowToGetIt(t *testing.T) {
	if nativeTransports != nil {
		t.Skip("this build has it")
	}
	_, err := shipmate.Connect(within(t), "shm:/s")
	expect(t, "shm", err, errors.ErrUnsupported)
	if !strings.Contains(err.Error(), "libshipmate") {
		t.Errorf("it does not name the library: %v", err)
	}
}

func TestEveryCallInFlightFailsWhenTheServerDies(t *testing.T) {
	for transport, address := range everyTransport(t) {
		t.Run(transport, func(t *testing.T) {
			server := startDaemon(t, address+"=conformance")
			conn, service := connect(t, server.addresses[0])
			const calls = 100
			ended := make(chan error, calls)
			for range calls {
				go func() {
					_, release, err := shipmate.Call(context.Background(), service.Hang, nil)
					release()
					ended <- err
				}()
			}
			untilCounts(t, service, [2]uint32{calls, 0})
			// Others come and go meanwhile, and end in the middle of anything.
			busy := make(chan error, 4)
			for range cap(busy) {
				go func() {
					var err error
					for err == nil {
						err = echo(context.Background(), service, strings.Repeat("x", 10_000))
					}
					busy <- err
				}()
			}
			server.kill()
			for range calls {
				err, _ := receive(t, ended)
				expect(t, "a call in flight", err, shipmate.ErrDisconnected)
			}
			for range cap(busy) {
				err, _ := receive(t, busy)
				expect(t, "a call in between", err, shipmate.ErrDisconnected)
			}
			expect(t, "the next call", echo(context.Background(), service, "Ahoy!"), shipmate.ErrDisconnected)
			receive(t, conn.Done())
			expect(t, "the connection", conn.Err(), shipmate.ErrDisconnected)
		})
	}
}

func TestCallsInFlightFailWhenTheConnectionIsClosedHere(t *testing.T) {
	server := startDaemon(t, "tcp:127.0.0.1:0=conformance")
	conn, hanging := connect(t, server.addresses[0])
	ended := make(chan error, 1)
	go func() {
		_, release, err := shipmate.Call(context.Background(), hanging.Hang, nil)
		release()
		ended <- err
	}()
	untilCounts(t, hanging, [2]uint32{1, 0})
	conn.Close()
	err, _ := receive(t, ended)
	expect(t, "the call in flight", err, shipmate.ErrDisconnected)
	expect(t, "the next call", echo(within(t), hanging, "Ahoy!"), shipmate.ErrDisconnected)
	expect(t, "the connection", conn.Err(), shipmate.ErrDisconnected)
}

func TestADeadlineCancelsTheWorkAtTheServer(t *testing.T) {
	server := startDaemon(t, "tcp:127.0.0.1:0=conformance")
	_, service := connect(t, server.addresses[0])
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, release, err := shipmate.Call(ctx, service.Hang, nil)
	release()
	expect(t, "the call", err, shipmate.ErrDeadline)
	expect(t, "the call, in the standard library's words", err, context.DeadlineExceeded)
	untilCounts(t, service, [2]uint32{0, 1})
}

func TestErrorsOfTheService(t *testing.T) {
	server := startDaemon(t, "tcp:127.0.0.1:0=conformance", "unix:"+filepath.Join(t.TempDir(), "s")+"=arith")
	_, service := connect(t, server.addresses[0])
	fail := func(p conformance.Conformance_fail_Params) error {
		p.SetKind(conformance.ErrorKind_overloaded)
		return p.SetReason("too: much")
	}
	_, _, err := shipmate.Call(within(t), service.Fail, fail)
	var seen *shipmate.ServiceError
	if !errors.As(err, &seen) || *seen != (shipmate.ServiceError{Kind: exc.Overloaded, Reason: "too: much"}) {
		t.Errorf("expected a ServiceError and saw %v", err)
	}
	// Straight from generated code, twice over.
	future, release := service.Fail(within(t), fail)
	defer release()
	_, err = future.Struct()
	if err = shipmate.ErrorOf(shipmate.ErrorOf(err)); !errors.As(err, &seen) {
		t.Errorf("expected a ServiceError and saw %v", err)
	}
	// Another service than the program thinks.
	_, wrong := connect(t, server.addresses[1])
	err = echo(within(t), wrong, "Ahoy!")
	if !errors.As(err, &seen) || seen.Kind != exc.Unimplemented {
		t.Errorf("expected the ServiceError unimplemented and saw %v", err)
	}
	// The caller's own errors are nobody else's.
	mine := errors.New("mine")
	_, _, err = shipmate.Call(within(t), service.Text, func(conformance.Conformance_text_Params) error { return mine })
	expect(t, "an error of the function that sets parameters", err, mine)
	if errors.Is(err, shipmate.ErrDisconnected) || errors.As(err, &seen) {
		t.Errorf("an error of the caller's own became %v", err)
	}
}

func TestAMessageThatIsTooLargeIsRefusedHere(t *testing.T) {
	server := startDaemon(t, "tcp:127.0.0.1:0=conformance")
	_, service := connect(t, server.addresses[0])
	_, _, err := shipmate.Call(within(t), service.Data, func(p conformance.Conformance_data_Params) error {
		return p.SetValue(make([]byte, shipmate.MessageBytesMax))
	})
	if err == nil || errors.Is(err, shipmate.ErrDisconnected) || !strings.Contains(err.Error(), "too large") {
		t.Errorf("expected an error that says too large, and saw %v", err)
	}
	if err := echo(within(t), service, "still there"); err != nil {
		t.Error(err)
	}
}

func TestAPeerThatClosesOrTalksNonsense(t *testing.T) {
	for name, bytes := range map[string]string{
		"says nothing":                   "",
		"closes in a header":             "\x00\x00",
		"closes in a message":            "\x00\x00\x00\x00\x10\x00\x00\x00half of it",
		"speaks HTTP":                    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
		"sends 0xff":                     strings.Repeat("\xff", 4096),
		"announces a huge message":       "\x00\x00\x00\x00\xff\xff\xff\x0f",
		"sends an empty message":         "\x00\x00\x00\x00\x00\x00\x00\x00",
		"sends a pointer into nowhere":   "\x00\x00\x00\x00\x01\x00\x00\x00\xfc\xff\xff\x7f\xff\xff\xff\x7f",
		"answers what nobody asked":      returnTo(77),
		"answers the same thing twice":   returnTo(0) + returnTo(0),
		"answers without an answer":      bodiless(),
		"calls its own result":           callOfItself(),
		"resolves a promise twice":       promise(5) + resolve(5, 6) + resolve(5, 6),
		"resolves a promise to itself":   promise(5) + resolve(5, 5),
		"resolves promises in a circle":  promise(5) + resolveToPromise(5, 6) + resolveToPromise(6, 5),
		"sends a list that holds itself": listThatHoldsItself,
		"says goodbye":                   abort("the server is shutting down"),
		"says goodbye with its bad side": abort(strings.Repeat("x", 100_000)),
	} {
		t.Run(name, func(t *testing.T) {
			address := peer(t, func(conn net.Conn) {
				_, _ = io.CopyN(io.Discard, conn, 8)
				_, _ = io.WriteString(conn, bytes)
				conn.Close()
			})
			conn, service := connect(t, address)
			for range 2 {
				err := echo(context.Background(), service, "Ahoy!")
				// To have answered that there is nothing is an answer.
				var answered *shipmate.ServiceError
				if !errors.Is(err, shipmate.ErrDisconnected) && !errors.As(err, &answered) {
					t.Errorf("expected the end of the connection and saw %v", err)
				}
				receive(t, conn.Done())
				expect(t, "the connection", conn.Err(), shipmate.ErrDisconnected)
			}
		})
	}
}

// Messages of the protocol, in their frames.

func returnTo(question uint32) string {
	return message(func(root rpccp.Message) error {
		answer, err := root.NewReturn()
		if err != nil {
			return err
		}
		answer.SetAnswerId(question)
		_, err = answer.NewResults()
		return err
	})
}

func bodiless() string {
	return message(func(root rpccp.Message) error { return root.SetReturn(rpccp.Return{}) })
}

func abort(reason string) string {
	return message(func(root rpccp.Message) error {
		exception, err := root.NewAbort()
		if err != nil {
			return err
		}
		return exception.SetReason(reason)
	})
}

func callOfItself() string {
	return message(func(root rpccp.Message) error {
		call, err := root.NewCall()
		if err != nil {
			return err
		}
		target, err := call.NewTarget()
		if err != nil {
			return err
		}
		_, err = target.NewPromisedAnswer()
		return err
	})
}

// promise answers the client's first question with a promise.
func promise(id uint32) string {
	return message(func(root rpccp.Message) error {
		answer, err := root.NewReturn()
		if err != nil {
			return err
		}
		results, err := answer.NewResults()
		if err != nil {
			return err
		}
		capabilities, err := results.NewCapTable(1)
		if err != nil {
			return err
		}
		capabilities.At(0).SetSenderPromise(id)
		return results.SetContent(capnp.NewInterface(results.Segment(), 0).ToPtr())
	})
}

func resolve(id, to uint32) string {
	return resolveTo(id, func(capability rpccp.CapDescriptor) { capability.SetSenderHosted(to) })
}

func resolveToPromise(id, to uint32) string {
	return resolveTo(id, func(capability rpccp.CapDescriptor) { capability.SetSenderPromise(to) })
}

func resolveTo(id uint32, set func(rpccp.CapDescriptor)) string {
	return message(func(root rpccp.Message) error {
		resolve, err := root.NewResolve()
		if err != nil {
			return err
		}
		resolve.SetPromiseId(id)
		capability, err := resolve.NewCap()
		if err != nil {
			return err
		}
		set(capability)
		return nil
	})
}

// A message of a kind that does not exist, which the library copies into its answer, with a list of one
// struct that points to that list, at the depth at which the library's own limit fails.
const listThatHoldsItself = "\x00\x00\x00\x00\x07\x00\x00\x00" +
	"\x00\x00\x00\x00\x01\x00\x01\x00" + // the message: a struct with a word and a pointer
	"\x63\x00\x00\x00\x00\x00\x00\x00" + // of kind 99
	"\x00\x00\x00\x00\x00\x00\x01\x00" + // its body: a struct with a pointer
	"\x00\x00\x00\x00\x00\x00\x01\x00" + // to another such
	"\x01\x00\x00\x00\x0f\x00\x00\x00" + // with the list
	"\x04\x00\x00\x00\x00\x00\x01\x00" + // of one struct with a pointer
	"\xf9\xff\xff\xff\x0f\x00\x00\x00" // two words back

func message(build func(rpccp.Message) error) string {
	message, segment := capnp.NewSingleSegmentMessage(nil)
	root, err := rpccp.NewRootMessage(segment)
	if err == nil {
		err = build(root)
	}
	if err != nil {
		panic(err)
	}
	bytes, err := message.Marshal()
	if err != nil {
		panic(err)
	}
	return string(bytes)
}

func TestAPeerThatNeitherReadsNorAnswers(t *testing.T) {
	address := peer(t, func(net.Conn) {})
	_, service := connect(t, address)
	// More than the socket holds: what is behind it cannot be sent, and a cancellation neither.
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, release, err := shipmate.Call(ctx, service.Data, func(p conformance.Conformance_data_Params) error {
			return p.SetValue(make([]byte, 8<<20))
		})
		release()
		expect(t, "a call", err, shipmate.ErrDeadline)
	}
}

func TestAStreamIsHeldBack(t *testing.T) {
	here, there := net.Pipe()
	sink := &gatedSink{gate: make(chan struct{})}
	server := rpc.NewConn(transport.NewStream(there),
		&rpc.Options{BootstrapClient: capnp.Client(conformance.Sink_ServerToClient(sink))})
	defer server.Close()
	conn := shipmate.NewConn(here)
	defer conn.Close()
	stream := shipmate.Bootstrap[conformance.Sink](conn)
	stream.SetFlowLimiter(shipmate.NewWindow(10_000))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	sent := 0
	for ctx.Err() == nil && sent < 1000 {
		err := stream.Write(ctx, func(p conformance.Sink_write_Params) error { return p.SetChunk(make([]byte, 1000)) })
		if err != nil {
			break
		}
		sent++
	}
	// With its frame each takes a little more than 1,000 bytes, and the last was only held back.
	if sent < 5 || sent > 11 {
		t.Errorf("expected about ten chunks and saw %d", sent)
	}
	close(sink.gate)
}

// A gatedSink handles nothing until its gate is opened.
type gatedSink struct{ gate chan struct{} }

func (s *gatedSink) Write(ctx context.Context, _ conformance.Sink_write) error {
	select {
	case <-s.gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *gatedSink) Done(context.Context, conformance.Sink_done) error { return nil }

func TestAConnectorReconnects(t *testing.T) {
	server := startDaemon(t, "unix:"+filepath.Join(t.TempDir(), "s")+"=conformance")
	connector := shipmate.NewConnector(server.addresses[0], shipmate.BackOff(20))
	defer connector.Close()
	first, err := connector.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := connector.Conn(within(t)); err != nil || again != first {
		t.Errorf("expected the same connection and saw another, or %v", err)
	}
	server.restart()
	receive(t, first.Done())
	second, err := connector.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := echo(within(t), shipmate.Bootstrap[service](second), "Ahoy!"); err != nil {
		t.Error(err)
	}
	server.kill()
	receive(t, second.Done())
	impatient := shipmate.NewConnector(server.addresses[0],
		shipmate.Reconnect{Attempts: 3, First: time.Millisecond, Max: time.Millisecond})
	_, err = impatient.Conn(within(t))
	expect(t, "after three attempts", err, shipmate.ErrUnreachable)
}

func TestAConnectorThatShallNotReconnect(t *testing.T) {
	server := startDaemon(t, "tcp:127.0.0.1:0=conformance")
	connector := shipmate.NewConnector(server.addresses[0], shipmate.Reconnect{})
	defer connector.Close()
	conn, err := connector.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	server.restart()
	receive(t, conn.Done())
	_, err = connector.Conn(within(t))
	expect(t, "the second connection", err, shipmate.ErrDisconnected)
}

func TestNothingLeaks(t *testing.T) {
	for transport, address := range everyTransport(t) {
		t.Run(transport, func(t *testing.T) {
			server := startDaemon(t, address+"=arith")
			divide := func() {
				conn, err := shipmate.Connect(within(t), server.addresses[0])
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				service := shipmate.Bootstrap[arith.Arith](conn)
				defer service.Release()
				_, release, err := shipmate.Call(within(t), service.Divide, nil)
				if err != nil {
					t.Fatal(err)
				}
				release()
			}
			divide()
			files, goroutines := settled(t, 0, 0)
			for range 50 {
				divide()
			}
			settled(t, files, goroutines)
		})
	}
}

// settled gives how many files are open and goroutines run, once they are no more than they were (0: once
// they have stopped to become fewer).
func settled(t *testing.T, filesMax, goroutinesMax int) (files, goroutines int) {
	t.Helper()
	// The library keeps a goroutine of each call for a while after its answer.
	const pause, still = 10 * time.Millisecond, 50
	for end, same := time.Now().Add(generous), 0; ; time.Sleep(pause) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("this system does not show which files are open")
		}
		before := [2]int{files, goroutines}
		files, goroutines = len(entries), runtime.NumGoroutine()
		if same++; before != [2]int{files, goroutines} {
			same = 0
		}
		switch {
		case filesMax == 0 && same > still, filesMax != 0 && files <= filesMax && goroutines <= goroutinesMax:
			return files, goroutines
		case time.Now().After(end):
			t.Fatalf("open files %d and goroutines %d, which were %d and %d", files, goroutines, filesMax, goroutinesMax)
		}
	}
}
