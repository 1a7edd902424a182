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

// Where messages can be received, in this package.
func everyPlace(t *testing.T) map[string]string {
	return map[string]string{
		"tcp":  "tcp:127.0.0.1:0",
		"unix": "unix:" + filepath.Join(t.TempDir(), "records"),
		"pipe": "pipe:" + filepath.Join(t.TempDir(), "records"),
	}
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
			if line := nextLine(t, readLines(lines)); !strings.Contains(line, `"depth"`) || !strings.Contains(line, "-42") {
				t.Errorf("shipmate recv printed %s", line)
			}
			if err := there.Wait(); err != nil {
				t.Error(err)
			}

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

func TestAReceiverThatIsGone(t *testing.T) {
	for transport, address := range everyPlace(t) {
		t.Run(transport, func(t *testing.T) {
			listener, address := listen(t, address)
			go func() {
				if receiver, err := shipmate.Accept(listener, record.ReadRootRecord); err == nil {
					receiver.Close()
				}
			}()
			sender := open(t, address)
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
	listener, address := listen(t, "unix:"+filepath.Join(t.TempDir(), "records"))
	sender := open(t, address)
	mine := errors.New("mine")
	expect(t, "the caller's error", sender.Send(func(record.Record) error { return mine }), mine)
	err := sender.Send(func(r record.Record) error { return r.Body().SetBytes(make([]byte, shipmate.MessageBytesMax)) })
	if err == nil || errors.Is(err, shipmate.ErrDisconnected) {
		t.Errorf("too large: saw %v", err)
	}
	if err := sender.Send(named("whole", 1)); err != nil {
		t.Fatal(err)
	}
	receiver, err := shipmate.Accept(listener, record.ReadRootRecord)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	if r, err := receiver.Receive(); err != nil || r.Value() != 1 {
		t.Errorf("expected the third alone and saw %v, %v", r, err)
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
