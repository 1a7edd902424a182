package shipmate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/record"
)

// everyPlace gives an address of each kind that this build can send messages to.
func everyPlace(t *testing.T) map[string]string {
	places := everyTransport(t)
	places["pipe"] = "pipe:" + filepath.Join(t.TempDir(), "records")
	return places
}

func listen(t *testing.T, address string) (*shipmate.Listener, string) {
	t.Helper()
	listener, err := shipmate.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, listener.Address().String()
}

func open(t *testing.T, address string) *shipmate.Sender[record.Record] {
	t.Helper()
	sender, err := shipmate.OpenSender(within(t), address, record.NewRootRecord)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sender.Close() })
	return sender
}

// ends gives both ends of a stream at an address.
func ends(
	t *testing.T, address string, options ...shipmate.Option,
) (*shipmate.Sender[record.Record], *shipmate.Receiver[record.Record]) {
	t.Helper()
	listener, err := shipmate.Listen(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	type opened struct {
		sender *shipmate.Sender[record.Record]
		err    error
	}
	opening := make(chan opened, 1)
	go func() {
		sender, err := shipmate.OpenSender(within(t), listener.Address().String(), record.NewRootRecord, options...)
		opening <- opened{sender, err}
	}()
	receiver, err := shipmate.AcceptContext(within(t), listener, record.ReadRootRecord)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.Close() })
	other, _ := receive(t, opening)
	if other.err != nil {
		t.Fatal(other.err)
	}
	t.Cleanup(func() { other.sender.Close() })
	return other.sender, receiver
}

// soon is over when what has to wait has not come.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func named(name string, value int64) func(record.Record) error {
	return func(r record.Record) error {
		r.SetValue(value)
		return r.SetName(name)
	}
}

func TestMessagesFromOneGoProgramToAnother(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			listener, address := listen(t, address)
			sent := make(chan error, 1)
			go func() {
				sender, err := shipmate.OpenSender(within(t), address, record.NewRootRecord)
				for number := 0; err == nil && number < 100; number++ {
					// Small and large ones, so that pipes fill up.
					err = sender.Send(named(strings.Repeat("x", number*number*10), int64(number)))
				}
				if err == nil {
					err = sender.Close()
				}
				sent <- err
			}()
			receiver, err := shipmate.Accept(listener, record.ReadRootRecord)
			if err != nil {
				t.Fatal(err)
			}
			defer receiver.Close()
			var records []record.Record
			for r, err := range receiver.All() {
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, r)
			}
			for number, r := range records {
				name, err := r.Name()
				if err != nil || r.Value() != int64(number) || len(name) != number*number*10 {
					t.Fatalf("record %d is %d with %d bytes, or %v", number, r.Value(), len(name), err)
				}
			}
			if len(records) != 100 {
				t.Errorf("expected 100 records and saw %d", len(records))
			}
			if err, _ := receive(t, sent); err != nil {
				t.Error(err)
			}
			if _, err := receiver.Receive(); err != io.EOF {
				t.Errorf("after the end: expected EOF and saw %v", err)
			}
		})
	}
}

func TestMessagesToAndFromTheShipmateProgram(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			there := program(t, "shipmate", "recv", address)
			lines, err := there.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			there.Stderr = nil
			announced, err := there.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := there.Start(); err != nil {
				t.Fatal(err)
			}
			if transport != "pipe" {
				line := nextLine(t, readLines(announced))
				_, address, _ = strings.Cut(line, " at ")
			}
			sender := open(t, address)
			if err := sender.Send(named("depth", -42)); err != nil {
				t.Fatal(err)
			}
			if err := sender.Close(); err != nil {
				t.Fatal(err)
			}
			expectPrinted(t, there, lines, `"depth"`, "-42")

			listener, back := listen(t, everyPlace(t)[transport])
			send := program(t, "shipmate", "send", back)
			send.Stdin = strings.NewReader(`{"name": "buoy", "value": 7, "body": {"text": "calm"}}`)
			if err := send.Start(); err != nil {
				t.Fatal(err)
			}
			receiver, err := shipmate.Accept(listener, record.ReadRootRecord)
			if err != nil {
				t.Fatal(err)
			}
			r, err := receiver.Receive()
			if err != nil {
				t.Fatal(err)
			}
			name, _ := r.Name()
			text, _ := r.Body().Text()
			if name != "buoy" || r.Value() != 7 || text != "calm" {
				t.Errorf("saw %v", r)
			}
			if _, err := receiver.Receive(); err != io.EOF {
				t.Errorf("expected the end and saw %v", err)
			}
			if err := send.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Through libshipmate too, where the number of another error was taken for it once.
func TestAReceiverThatIsGone(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			sender, receiver := ends(t, address)
			if err := sender.Send(named("somebody hears", 1)); err != nil {
				t.Fatal(err)
			}
			// At an auto: address who was closed before it had agreed on a way would be connected to once more.
			if _, err := receiver.ReceiveContext(within(t)); err != nil {
				t.Fatal(err)
			}
			receiver.Close()
			var err error
			for end := time.Now().Add(generous); err == nil && time.Now().Before(end); {
				err = sender.Send(named("nobody hears", 1))
			}
			expect(t, "sending", err, shipmate.ErrDisconnected)
		})
	}
}

func TestASenderThatTalksNonsense(t *testing.T) {
	for name, bytes := range map[string]string{
		"half a message":           "\x00\x00\x00\x00\x10\x00\x00\x00half",
		"a pointer into nowhere":   "\x00\x00\x00\x00\x01\x00\x00\x00\xfc\xff\xff\x7f\xff\xff\xff\x7f",
		"a segment table too long": strings.Repeat("\xff", 100),
	} {
		t.Run(name, func(t *testing.T) {
			listener, address := listen(t, "unix:"+filepath.Join(t.TempDir(), "records"))
			conn, err := net.Dial("unix", strings.TrimPrefix(address, "unix:"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, bytes); err != nil {
				t.Fatal(err)
			}
			conn.Close()
			receiver, err := shipmate.Accept(listener, record.ReadRootRecord)
			if err != nil {
				t.Fatal(err)
			}
			defer receiver.Close()
			r, err := receiver.Receive()
			if err == nil {
				// A pointer is followed when what it points to is asked for.
				_, err = r.Name()
			}
			if err == nil || err == io.EOF {
				t.Errorf("expected an error and saw %v", err)
			}
		})
	}
}

func TestASenderGoesOnAfterAnErrorOfItsCaller(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			sender, receiver := ends(t, address)
			mine := errors.New("mine")
			expect(t, "the caller's error", sender.Send(func(record.Record) error { return mine }), mine)
			if transport == "unix" || transport == "shm" {
				// Once for each way that this goes, for it takes seconds.
				tooLarge := func(r record.Record) error { return r.Body().SetBytes(make([]byte, shipmate.MessageBytesMax)) }
				if err := sender.Send(tooLarge); err == nil || errors.Is(err, shipmate.ErrDisconnected) {
					t.Errorf("too large: saw %v", err)
				}
			}
			if _, err := sender.Loan(within(t), shipmate.MessageBytesMax+1); err == nil {
				t.Error("a loan that is too large was given")
			}
			if err := sender.Send(named("whole", 1)); err != nil {
				t.Fatal(err)
			}
			if r, err := receiver.ReceiveContext(within(t)); err != nil || r.Value() != 1 {
				t.Errorf("expected the third alone and saw %v, %v", r, err)
			}
		})
	}
}

func TestLoansAndMessagesInPlace(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			sender, receiver := ends(t, address)
			// One that has room, one that has too little, one that has none, and one that is large.
			for number, size := range []int{8192, 1024, 0, 100_000} {
				loan := lend(t, sender, size)
				lend(t, sender, size).Cancel()
				name := strings.Repeat("x", 1000+size*3/4)
				err := errors.Join(named(name, int64(number))(loan.Root), loan.Root.Body().SetText("calm"))
				if err != nil {
					t.Fatal(err)
				}
				message := publishAndReceive(t, loan, receiver)
				seen, _ := message.Root.Name()
				text, _ := message.Root.Body().Text()
				if seen != name || message.Root.Value() != int64(number) || text != "calm" {
					t.Errorf("saw %d with %d bytes and %q", message.Root.Value(), len(seen), text)
				}
				bytes := 0
				for _, segment := range message.Segments() {
					bytes += len(segment)
				}
				if bytes < len(name) {
					t.Errorf("its segments have %d bytes", bytes)
				}
				message.Release()
				if err := loan.Publish(within(t)); err == nil {
					t.Error("a loan was published twice")
				}
			}
		})
	}
}

// What does not fit goes elsewhere, and that may be many things of many sizes.
func TestALoanThatIsOutgrown(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			sender, receiver := ends(t, address)
			loan := lend(t, sender, 512)
			readings, err := loan.Root.NewReadings(1000)
			if err != nil {
				t.Fatal(err)
			}
			sensor := func(i int) string { return strings.Repeat(fmt.Sprint(i), 1+i%10) }
			for i := range readings.Len() {
				if err := readings.At(i).SetSensor(sensor(i)); err != nil {
					t.Fatal(err)
				}
			}
			message := publishAndReceive(t, loan, receiver)
			defer message.Release()
			readings, err = message.Root.Readings()
			if err != nil || readings.Len() != 1000 {
				t.Fatalf("saw %d readings, %v", readings.Len(), err)
			}
			for i := range readings.Len() {
				if seen, err := readings.At(i).Sensor(); err != nil || seen != sensor(i) {
					t.Fatalf("reading %d is of %q, %v", i, seen, err)
				}
			}
		})
	}
}

func lend(t *testing.T, sender *shipmate.Sender[record.Record], bytes int) *shipmate.Loan[record.Record] {
	t.Helper()
	loan, err := sender.Loan(within(t), bytes)
	if err != nil {
		t.Fatal(err)
	}
	return loan
}

func publishAndReceive(
	t *testing.T, loan *shipmate.Loan[record.Record], receiver *shipmate.Receiver[record.Record],
) *shipmate.Message[record.Record] {
	t.Helper()
	published := make(chan error, 1)
	go func() { published <- loan.Publish(within(t)) }()
	message, err := receiver.ReceiveInPlace(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err, _ := receive(t, published); err != nil {
		t.Fatal(err)
	}
	return message
}

func TestNothingIsLostByADeadline(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			listener, address := listen(t, address)
			_, err := shipmate.AcceptContext(soon(t), listener, record.ReadRootRecord)
			// At a pipe: address who listens is there already.
			expect(t, "accepting", err, shipmate.ErrDeadline)
			opening := make(chan *shipmate.Sender[record.Record], 1)
			go func() {
				sender, err := shipmate.OpenSender(within(t), address, record.NewRootRecord)
				if err != nil {
					t.Error(err)
				}
				opening <- sender
			}()
			receiver, err := shipmate.AcceptContext(within(t), listener, record.ReadRootRecord)
			if err != nil {
				t.Fatal(err)
			}
			defer receiver.Close()
			sender, _ := receive(t, opening)
			_, err = receiver.ReceiveContext(soon(t))
			expect(t, "receiving", err, shipmate.ErrDeadline)
			// Until nothing goes in any more; what does not goes later.
			sent := int64(0)
			for err = nil; err == nil; sent++ {
				err = sender.SendContext(soon(t), named(strings.Repeat("x", 10_000), sent))
			}
			expect(t, "sending", err, shipmate.ErrDeadline)
			last := make(chan error, 1)
			go func() {
				err := sender.SendContext(within(t), named("last", sent))
				last <- errors.Join(err, sender.Close())
			}()
			for number := range sent + 1 {
				r, err := receiver.ReceiveContext(within(t))
				if err != nil || r.Value() != number {
					t.Fatalf("expected %d and saw %d, %v", number, r.Value(), err)
				}
			}
			if _, err := receiver.ReceiveContext(within(t)); err != io.EOF {
				t.Errorf("expected the end and saw %v", err)
			}
			if err, _ := receive(t, last); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, err = receiver.ReceiveContext(ctx)
			expect(t, "receiving", err, context.Canceled)
		})
	}
}

func TestASenderThatIsClosedWhileAMessageIsUnderWay(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			sender, receiver := ends(t, address)
			var err error
			for err == nil {
				err = sender.SendContext(soon(t), named(strings.Repeat("x", 10_000), 1))
			}
			expect(t, "sending", err, shipmate.ErrDeadline)
			if err := sender.Close(); err == nil {
				t.Error("all was sent, it says")
			}
			// It ends, with the message or without.
			for _, err := range receiver.All() {
				if err != nil {
					expect(t, "receiving", err, shipmate.ErrDisconnected)
				}
			}
		})
	}
}

func TestASenderThatDies(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			listener, address := listen(t, address)
			send := program(t, "shipmate", "send", address)
			input, err := send.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := send.Start(); err != nil {
				t.Fatal(err)
			}
			receiver, err := shipmate.AcceptContext(within(t), listener, record.ReadRootRecord)
			if err != nil {
				t.Fatal(err)
			}
			defer receiver.Close()
			if _, err := io.WriteString(input, `{"value": 7}`+"\n"); err != nil {
				t.Fatal(err)
			}
			if r, err := receiver.ReceiveContext(within(t)); err != nil || r.Value() != 7 {
				t.Fatalf("saw %v, %v", r, err)
			}
			if err := send.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = send.Wait()
			// Between two messages a stream ends in no other way.
			if _, err = receiver.ReceiveContext(within(t)); err != io.EOF {
				t.Errorf("expected the end and saw %v", err)
			}
		})
	}
}

func TestWhatWaitsCanBeEnded(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			listener, address := listen(t, address)
			ended := make(chan error, 1)
			go func() {
				_, err := shipmate.Accept(listener, record.ReadRootRecord)
				ended <- err
			}()
			listener.Close()
			err, _ := receive(t, ended)
			expect(t, "Accept", err, net.ErrClosed)
			if path, found := strings.CutPrefix(address, "pipe:"); found {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
				defer cancel()
				_, err := shipmate.OpenSender(ctx, address, record.NewRootRecord)
				expect(t, "OpenSender", err, shipmate.ErrUnreachable)
				if _, err := os.Stat(path); !os.IsNotExist(err) {
					t.Errorf("it left the pipe behind: %v", err)
				}
			}
		})
	}
}

func TestSamples(t *testing.T) {
	for transport, address := range everyTransport(t) {
		t.Run(transport, func(t *testing.T) {
			other := everyTransport(t)[transport]
			server := startDaemon(t, address+"=arith", other+"=calculator")
			said := output(t, program(t, "arith", server.addresses[0], "22", "7"))
			if said != "22 * 7 = 154\n22 / 7 = 3 remainder 1\n" {
				t.Errorf("arith said %s", said)
			}
			said = output(t, program(t, "arith", server.addresses[0], "9223372036854775807", "0"))
			if strings.Count(said, "overflow")+strings.Count(said, "divideByZero") != 1 {
				t.Errorf("arith said %s", said)
			}
			said = output(t, program(t, "callback", server.addresses[1]))
			if said != "the server calls pow(2, 10)\npow(2, 10) - 1 = 1023\n" {
				t.Errorf("callback said %s", said)
			}
		})
	}
	address := "unix:" + filepath.Join(t.TempDir(), "records")
	recv := program(t, "records", "recv", address)
	out, err := recv.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := recv.Start(); err != nil {
		t.Fatal(err)
	}
	lines := readLines(out)
	if line := nextLine(t, lines); line != "listening at "+address {
		t.Errorf("records said %s", line)
	}
	output(t, program(t, "records", "send", address))
	for number := range 3 {
		if line := nextLine(t, lines); line != fmt.Sprintf("buoy %d: %d", number, number) {
			t.Errorf("records said %s", line)
		}
	}
	if err := recv.Wait(); err != nil {
		t.Error(err)
	}
}
