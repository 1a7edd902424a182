//go:build shipmate_native

package shipmate_test

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/record"
)

// More than any tier copies.
const largeBytes = 1 << 20

// bytesOf gives the bytes of a record's body where they are.
func bytesOf(t *testing.T, r record.Record) []byte {
	t.Helper()
	bytes, err := r.Body().Bytes()
	if err != nil || len(bytes) != largeBytes {
		t.Fatalf("saw %d bytes, %v", len(bytes), err)
	}
	return bytes
}

func TestALoanIsTheMemoryThatTheReceiverReads(t *testing.T) {
	tier := shipmate.WithTier(shipmate.TierTrusted)
	sender, receiver := ends(t, "shm:"+filepath.Join(t.TempDir(), "records"), tier, shipmate.WithSpin(time.Microsecond))
	built := lendLarge(t, sender)
	place := bytesOf(t, built.Root)
	message := publishAndReceive(t, built, receiver)
	seen := bytesOf(t, message.Root)
	// Which nobody does but who wants to know.
	place[largeBytes-1] = 7
	if seen[largeBytes-1] != 7 {
		t.Error("the receiver has a copy")
	}
	// Until it is given back it is not lent again.
	other := lendLarge(t, sender)
	bytesOf(t, other.Root)[largeBytes-1] = 8
	other.Cancel()
	receiver.Close()
	if seen[largeBytes-1] != 7 {
		t.Error("it was lent again while it was read")
	}
	message.Release()
	message.Release()
}

func lendLarge(t *testing.T, sender *shipmate.Sender[record.Record]) *shipmate.Loan[record.Record] {
	t.Helper()
	loan := lend(t, sender, largeBytes+1024)
	if err := loan.Root.Body().SetBytes(make([]byte, largeBytes)); err != nil {
		t.Fatal(err)
	}
	return loan
}

func TestEveryTierHasTheSameMessages(t *testing.T) {
	for name, tier := range map[string]shipmate.Tier{
		"copy": shipmate.TierCopy, "sealed": shipmate.TierSealed, "trusted": shipmate.TierTrusted,
	} {
		t.Run(name, func(t *testing.T) {
			sender, receiver := ends(t, "shm:"+filepath.Join(t.TempDir(), "records"), shipmate.WithTier(tier))
			var all []record.Record
			sent := make(chan error, 1)
			go func() {
				var err error
				for number := 0; err == nil && number < 20; number++ {
					err = sender.Send(large(number))
				}
				sent <- errors.Join(err, sender.Close())
			}()
			for r, err := range receiver.All() {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, r)
			}
			if err, _ := receive(t, sent); err != nil || len(all) != 20 {
				t.Fatalf("saw %d messages, %v", len(all), err)
			}
			// Those of Receive may be kept.
			for number, r := range all {
				if bytes := bytesOf(t, r); bytes[0] != byte(number) || bytes[largeBytes-1] != byte(number) {
					t.Errorf("message %d has %d and %d", number, bytes[0], bytes[largeBytes-1])
				}
			}
		})
	}
}

func large(number int) func(record.Record) error {
	return func(r record.Record) error {
		return r.Body().SetBytes([]byte(strings.Repeat(string([]byte{byte(number)}), largeBytes)))
	}
}

func TestAnAddressThatIsInUse(t *testing.T) {
	_, address := listen(t, "shm:"+filepath.Join(t.TempDir(), "records"))
	_, err := shipmate.Listen(address)
	expect(t, "a second listener", err, syscall.EADDRINUSE)
}

func publish(t *testing.T, options ...shipmate.Option) (*shipmate.Publisher[record.Record], string) {
	t.Helper()
	address := "shm:" + filepath.Join(t.TempDir(), "records")
	publisher, err := shipmate.OpenPublisher(address, record.NewRootRecord, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { publisher.Close() })
	return publisher, address
}

func subscribe(t *testing.T, address string, policy shipmate.Policy) *shipmate.Subscriber[record.Record] {
	t.Helper()
	subscriber, err := shipmate.OpenSubscriber(within(t), address, record.ReadRootRecord, policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { subscriber.Close() })
	return subscriber
}

func TestOneToManyWhereThePublisherWaits(t *testing.T) {
	const messages = 500
	publisher, address := publish(t, shipmate.WithRing(4096))
	subscribers := []*shipmate.Subscriber[record.Record]{
		subscribe(t, address, shipmate.PolicyBlock), subscribe(t, address, shipmate.PolicyBlock),
	}
	if err := publisher.Subscribed(within(t), 2); err != nil {
		t.Fatal(err)
	}
	published := make(chan error, 1)
	go func() {
		var err error
		for number := int64(0); err == nil && number < messages; number++ {
			err = publisher.Publish(named("tide", number))
		}
		published <- errors.Join(err, publisher.Close())
	}()
	for number := range int64(messages) {
		for _, subscriber := range subscribers {
			r, err := subscriber.Receive()
			if err != nil || r.Value() != number || subscriber.Lost() != 0 {
				t.Fatalf("message %d: saw %v, %v, with %d lost", number, r, err, subscriber.Lost())
			}
		}
	}
	for _, subscriber := range subscribers {
		if _, err := subscriber.Receive(); err != io.EOF {
			t.Errorf("expected the end and saw %v", err)
		}
	}
	if err, _ := receive(t, published); err != nil {
		t.Error(err)
	}
}

func TestOneToManyWhereTheOldestAreLost(t *testing.T) {
	const messages = 500
	publisher, address := publish(t, shipmate.WithRing(4096))
	subscriber := subscribe(t, address, shipmate.PolicyLoseOldest)
	if err := publisher.Subscribed(within(t), 1); err != nil {
		t.Fatal(err)
	}
	for number := range int64(messages) {
		if err := publisher.Publish(named("tide", number)); err != nil {
			t.Fatal(err)
		}
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
	seen := int64(0)
	for r, err := range subscriber.All() {
		if err != nil {
			t.Fatal(err)
		}
		if expected := seen + int64(subscriber.Lost()); r.Value() != expected {
			t.Fatalf("with %d lost expected %d and saw %d", subscriber.Lost(), expected, r.Value())
		}
		seen++
	}
	if lost := subscriber.Lost(); lost == 0 || seen+int64(lost) != messages {
		t.Errorf("saw %d, with %d lost", seen, lost)
	}
}

func TestOneToManyHasItsErrors(t *testing.T) {
	publisher, address := publish(t, shipmate.WithRing(4096))
	subscriber := subscribe(t, address, shipmate.PolicyBlock)
	if err := publisher.Subscribed(within(t), 1); err != nil {
		t.Fatal(err)
	}
	expect(t, "waiting for a second", publisher.Subscribed(soon(t), 2), shipmate.ErrDeadline)
	err := publisher.Publish(named(strings.Repeat("x", 2000), 1))
	if err == nil || errors.Is(err, shipmate.ErrDisconnected) || !strings.Contains(err.Error(), "ring_bytes / 4") {
		t.Errorf("too large: saw %v", err)
	}
	_, err = subscriber.ReceiveContext(soon(t))
	expect(t, "receiving what is not there", err, shipmate.ErrDeadline)
	if err := publisher.Publish(named("tide", 2)); err != nil {
		t.Fatal(err)
	}
	if r, err := subscriber.Receive(); err != nil || r.Value() != 2 {
		t.Errorf("expected the second and saw %v, %v", r, err)
	}
	// The ring is full, and nobody reads it.
	for err = nil; err == nil; {
		err = publisher.PublishContext(soon(t), named("tide", 3))
	}
	expect(t, "publishing", err, shipmate.ErrDeadline)
	if err := subscriber.Close(); err != nil {
		t.Error(err)
	}
	// Whoever made it wait is gone.
	if err := publisher.PublishContext(within(t), named("tide", 4)); err != nil {
		t.Error(err)
	}

	var wrong *shipmate.AddressError
	if _, err := shipmate.OpenPublisher("tcp:127.0.0.1:0", record.NewRootRecord); !errors.As(err, &wrong) {
		t.Errorf("a publisher at tcp: saw %v", err)
	}
	_, err = shipmate.OpenPublisher(address, record.NewRootRecord)
	expect(t, "a second publisher", err, syscall.EADDRINUSE)
	_, err = shipmate.OpenSubscriber(within(t), "shm:"+filepath.Join(t.TempDir(), "nobody"), record.ReadRootRecord,
		shipmate.PolicyBlock)
	expect(t, "a subscriber of nobody", err, shipmate.ErrUnreachable)
}

func TestOneToManyWithTheShipmateProgram(t *testing.T) {
	publisher, address := publish(t)
	there := program(t, "shipmate", "subscribe", address)
	lines, err := there.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := there.Start(); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Subscribed(within(t), 1); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Publish(named("depth", -42)); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
	expectPrinted(t, there, lines, `"depth"`, "-42")

	address = "shm:" + filepath.Join(t.TempDir(), "records")
	there = program(t, "shipmate", "publish", address)
	input, err := there.StdinPipe()
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
	nextLine(t, readLines(announced))
	subscriber := subscribe(t, address, shipmate.PolicyBlock)
	if _, err := io.WriteString(input, `{"name": "buoy", "value": 7}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if r, err := subscriber.Receive(); err != nil || r.Value() != 7 {
		t.Errorf("saw %v, %v", r, err)
	}
	// It dies, and does not close.
	if err := there.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err = subscriber.Receive()
	expect(t, "receiving", err, shipmate.ErrDisconnected)
	_ = there.Wait()
}
