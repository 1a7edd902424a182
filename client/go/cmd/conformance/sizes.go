package main

import (
	"bytes"
	"context"
	"errors"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// Messages of several segments, and large ones.

// No part fits into what is left of a segment, so that both messages have many.
func multiSegment(ctx context.Context, service server) error {
	var parts [][]byte
	for n := 3; n <= 22; n++ {
		parts = append(parts, bytes.Repeat([]byte{byte(n)}, n*1000))
	}
	result, release, err := shipmate.Call(ctx, service.Segments, func(p conformance.Conformance_segments_Params) error {
		to, err := p.NewParts(int32(len(parts)))
		for index, part := range parts {
			err = errors.Join(err, to.Set(index, part))
		}
		return err
	})
	if err != nil {
		return err
	}
	defer release()
	echoed, err := result.Parts()
	if err != nil {
		return err
	}
	if err := is("the number of parts", echoed.Len(), len(parts)); err != nil {
		return err
	}
	for index, part := range parts {
		seen, err := echoed.At(index)
		if err != nil {
			return err
		}
		if err := isSame("a part", seen, part); err != nil {
			return err
		}
	}
	return nil
}

const mib = 1 << 20

func large(ctx context.Context, service server) error {
	return errors.Join(
		echoData(ctx, service, pattern(mib)),
		give(ctx, service, mib),
		give(ctx, service, 32*mib),
		echoData(ctx, service, pattern(32*mib)),
	)
}

func give(ctx context.Context, service server, bytes uint32) error {
	result, release, err := shipmate.Call(ctx, service.Large, func(p conformance.Conformance_large_Params) error {
		p.SetBytes(bytes)
		return nil
	})
	if err != nil {
		return err
	}
	defer release()
	value, err := result.Value()
	if err != nil {
		return err
	}
	return isSame("what was asked for", value, pattern(bytes))
}

func pattern(bytes uint32) []byte {
	data := make([]byte, bytes)
	for index := range data {
		data[index] = byte(index*31 + 7)
	}
	return data
}
