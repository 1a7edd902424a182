//go:build shipmate_native && cgo && linux

package shipmate

/*
#include "shipmate.h"
*/
import "C"

import "context"

type nativePublisher struct {
	nativeSink
	publisher *C.shipmate_publisher
}

func openNativePublisher(address Address, given options) (publishing, error) {
	return openNativeNow(address, given, 0,
		func(text *C.char, options *C.struct_shipmate_options, failure *C.struct_shipmate_error) (publishing, error) {
			var publisher *C.shipmate_publisher
			if C.shipmate_publisher_open(text, C.size_t(max(given.ring, 0)), options, &publisher, failure) < 0 {
				return nil, errFailed
			}
			return newNativePublisher(publisher), nil
		})
}

func newNativePublisher(publisher *C.shipmate_publisher) *nativePublisher {
	return &nativePublisher{publisher: publisher, nativeSink: nativeSink{
		send: func(segments *C.struct_shipmate_segment, count C.size_t, failure *C.struct_shipmate_error) C.int {
			return C.shipmate_publisher_publish(publisher, segments, count, failure)
		},
		free: func(failure *C.struct_shipmate_error) C.int { return C.shipmate_publisher_close(publisher, failure) },
	}}
}

func (p *nativePublisher) subscribed(ctx context.Context, subscribers int) error {
	goOn := func() error { return ErrorOf(ctx.Err()) }
	_, err := p.wait(goOn, func(failure *C.struct_shipmate_error) C.int {
		return C.shipmate_publisher_wait(p.publisher, C.size_t(max(subscribers, 0)), lookMillis, failure)
	})
	return err
}

func openNativeSubscriber(ctx context.Context, address Address, policy Policy, given options) (source, error) {
	number := map[Policy]C.uint{
		PolicyBlock:      C.SHIPMATE_POLICY_BLOCK,
		PolicyLoseOldest: C.SHIPMATE_POLICY_LOSE_OLDEST,
	}[policy]
	return openNative(ctx, address, given,
		func(text *C.char, options *C.struct_shipmate_options, failure *C.struct_shipmate_error) (source, error) {
			var subscriber *C.shipmate_subscriber
			if C.shipmate_subscriber_open(text, number, options, &subscriber, failure) < 0 {
				return nil, errFailed
			}
			return newNativeSubscriber(subscriber), nil
		},
		func(from source) { from.Close() })
}

func newNativeSubscriber(subscriber *C.shipmate_subscriber) *nativeSource {
	return &nativeSource{
		receive: func(message **C.struct_shipmate_message, failure *C.struct_shipmate_error) C.int {
			return C.shipmate_subscriber_receive(subscriber, lookMillis, message, failure)
		},
		lost: func() C.uint64_t { return C.shipmate_subscriber_lost(subscriber) },
		free: func() { C.shipmate_subscriber_close(subscriber) },
	}
}
