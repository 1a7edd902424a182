package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// Streams (`-> stream`), whose sender is held back by what the receiver has handled.

const (
	chunks       = 200
	chunkBytes   = 10_000
	peakBytesMax = 1 << 20
)

func streamUp(ctx context.Context, service server) error {
	opened, release, err := shipmate.Call(ctx, service.OpenSink, nil)
	if err != nil {
		return err
	}
	defer release()
	sink := opened.Sink()
	sink.SetFlowLimiter(shipmate.NewWindow(shipmate.DefaultWindow))
	var sum uint32
	for number := range chunks {
		chunk := chunkOf(number)
		sum += sumOf(chunk)
		// Waits until there is room for the next.
		err := sink.Write(ctx, func(p conformance.Sink_write_Params) error { return p.SetChunk(chunk) })
		if err != nil {
			return shipmate.ErrorOf(err)
		}
	}
	if err := sink.WaitStreaming(); err != nil {
		return shipmate.ErrorOf(err)
	}
	done, release, err := shipmate.Call(ctx, sink.Done, nil)
	if err != nil {
		return err
	}
	defer release()
	return errors.Join(
		is("the chunks", done.Chunks(), chunks),
		is("the bytes", done.Bytes(), chunks*chunkBytes),
		is("their sum", done.Sum(), sum),
	)
}

func streamDown(ctx context.Context, service server) error {
	object := &slowSink{}
	sink := conformance.Sink_ServerToClient(object)
	defer sink.Release()
	result, release, err := shipmate.Call(ctx, service.Pour, func(p conformance.Conformance_pour_Params) error {
		p.SetChunks(chunks)
		p.SetBytes(chunkBytes)
		return p.SetSink(sink.AddRef())
	})
	if err != nil {
		return err
	}
	defer release()
	if err := is("the number of chunks", len(object.chunks), chunks); err != nil {
		return err
	}
	for number, seen := range object.chunks {
		if err := isSame(fmt.Sprint("chunk ", number), seen, chunkOf(number)); err != nil {
			return err
		}
	}
	if peak := result.Peak(); peak == 0 || peak > peakBytesMax {
		return fmt.Errorf("the bytes under way: expected at most %d and saw %d", peakBytesMax, peak)
	}
	return nil
}

func chunkOf(number int) []byte {
	chunk := make([]byte, chunkBytes)
	for index := range chunk {
		chunk[index] = byte(number + index)
	}
	return chunk
}

// A slowSink takes its time over each chunk.
type slowSink struct{ chunks [][]byte }

func (s *slowSink) Write(_ context.Context, call conformance.Sink_write) error {
	time.Sleep(time.Millisecond)
	chunk, err := call.Args().Chunk()
	// The library takes the message back when this returns.
	s.chunks = append(s.chunks, bytes.Clone(chunk))
	return err
}

func (s *slowSink) Done(_ context.Context, call conformance.Sink_done) error {
	result, err := call.AllocResults()
	if err != nil {
		return err
	}
	result.SetChunks(uint32(len(s.chunks)))
	total, sum := 0, uint32(0)
	for _, chunk := range s.chunks {
		total += len(chunk)
		sum += sumOf(chunk)
	}
	result.SetBytes(uint64(total))
	result.SetSum(sum)
	return nil
}
