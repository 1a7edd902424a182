package shipmate_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// A peer whose bytes are damaged: the client ends the connection or goes on, and never crashes or hangs.
func TestAPeerWhoseBytesAreDamaged(t *testing.T) {
	server := startDaemon(t, "tcp:127.0.0.1:0=conformance")
	behind := strings.TrimPrefix(server.addresses[0], "tcp:")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var trials sync.WaitGroup
	atOnce := make(chan struct{}, 8)
	for trial := range uint64(400) {
		atOnce <- struct{}{}
		trials.Add(1)
		go func() {
			defer trials.Done()
			defer func() { <-atOnce }()
			random := rand.New(rand.NewPCG(seed, trial))
			address := peer(t, func(client net.Conn) {
				damage(client, behind, random)
			})
			tryEverything(t, address)
		}()
	}
	trials.Wait()
}

// damage carries bytes between a client and a server, and changes some of what the server says.
func damage(client net.Conn, server string, random *rand.Rand) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer upstream.Close()
	go func() {
		_, _ = io.Copy(upstream, client)
		upstream.Close()
	}()
	buffer := make([]byte, 4096)
	for {
		n, err := upstream.Read(buffer)
		if err != nil {
			return
		}
		for range random.IntN(3) {
			// Small numbers mostly: they are kinds of messages, and ids that exist.
			buffer[random.IntN(n)] = byte(random.Uint32()) >> random.IntN(8)
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// tryEverything makes calls of many kinds, whose results do not matter.
func tryEverything(t *testing.T, address string) {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	conn, err := shipmate.Connect(ctx, address)
	if err != nil {
		return
	}
	service := shipmate.Bootstrap[service](conn)
	for range 3 {
		_ = echo(ctx, service, "Ahoy!")
		first, releaseNode := service.Node(ctx, nil)
		defer func() { go releaseNode() }()
		_, releaseDepth, _ := shipmate.Call(ctx, first.Node().Depth, nil)
		releaseDepth()
		callback := conformance.Callback_ServerToClient(answerer{})
		_, releaseCall, _ := shipmate.Call(ctx, service.Call, func(p conformance.Conformance_call_Params) error {
			p.SetTimes(3)
			return p.SetCallback(callback)
		})
		releaseCall()
		pair, releasePair := service.Pair(ctx, nil)
		defer func() { go releasePair() }()
		_, releaseRead, _ := shipmate.Call(ctx, pair.Second().Read, nil)
		releaseRead()
	}
	conn.Close()
	receive(t, conn.Done())
}

type answerer struct{}

func (answerer) Call(_ context.Context, call conformance.Callback_call) error {
	result, err := call.AllocResults()
	if err == nil {
		result.SetAnswer(call.Args().Number())
	}
	return err
}

// A promise that is resolved twice while it is called: the library would end the program, in one of a few
// such connections.
func TestAPromiseThatIsResolvedTwiceWhileItIsCalled(t *testing.T) {
	address := peer(t, func(conn net.Conn) {
		_, _ = io.CopyN(io.Discard, conn, 8)
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		_, _ = io.WriteString(conn, promise(5))
		_, _ = io.WriteString(conn, strings.Repeat(resolve(5, 6), 4))
	})
	for range 200 {
		conn, service := connect(t, address)
		var callers sync.WaitGroup
		for range 8 {
			callers.Add(1)
			go func() {
				defer callers.Done()
				for conn.Err() == nil {
					ctx, cancel := context.WithTimeout(context.Background(), 20*time.Microsecond)
					_ = echo(ctx, service, "Ahoy!")
					cancel()
				}
			}()
		}
		callers.Wait()
		expect(t, "the connection", conn.Err(), shipmate.ErrDisconnected)
		conn.Close()
	}
}
