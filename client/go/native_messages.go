//go:build shipmate_native && cgo && linux

package shipmate

/*
#include "shipmate.h"
*/
import "C"

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"capnproto.org/go/capnp/v3"
)

// How often who waits looks whether it shall still do so, in milliseconds.
const lookMillis = 50

// A nativeObject is something of the library's with which one call at a time goes on, and none once it was
// closed.
type nativeObject struct {
	mutex    sync.Mutex
	isClosed bool
	closing  atomic.Bool
	// Of the call that goes on.
	failure C.struct_shipmate_error
}

// call makes a call that can fail; what it returns.
func (o *nativeObject) call(function func(*C.struct_shipmate_error) C.int) (C.int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.isClosed {
		return -1, lost("it was closed here", net.ErrClosed)
	}
	result := function(&o.failure)
	if result < 0 {
		return result, errorOfUsing(&o.failure)
	}
	return result, nil
}

// wait makes a call again and again that takes lookMillis at most, until it succeeds, or fails otherwise, or
// this is closed, or what is asked in between says so.
func (o *nativeObject) wait(goOn func() error, function func(*C.struct_shipmate_error) C.int) (C.int, error) {
	for {
		if err := goOn(); err != nil {
			return -1, err
		}
		if o.closing.Load() {
			return -1, lost("it was closed here", net.ErrClosed)
		}
		result, err := o.call(function)
		if !errors.Is(err, ErrDeadline) {
			return result, err
		}
	}
}

// close ends a wait, and does the rest once.
func (o *nativeObject) close(free func() error) error {
	o.closing.Store(true)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.isClosed {
		return net.ErrClosed
	}
	o.isClosed = true
	return free()
}

// always is for what goes on until it is closed.
func always() error { return nil }

// A nativeSink sends messages by a function of the library.
type nativeSink struct {
	nativeObject
	send func(*C.struct_shipmate_segment, C.size_t, *C.struct_shipmate_error) C.int
	free func(*C.struct_shipmate_error) C.int
}

// Encode sends a message, from memory of the program.
func (s *nativeSink) Encode(message *capnp.Message) error {
	size, err := message.TotalSize()
	if err != nil {
		return err
	}
	if size > MessageBytesMax {
		return tooLarge(size)
	}
	var pinner runtime.Pinner
	defer pinner.Unpin()
	datas := segmentsOf(message)
	segments := make([]C.struct_shipmate_segment, len(datas))
	for i, data := range datas {
		if len(data) == 0 {
			continue
		}
		pinner.Pin(&data[0])
		segments[i] = C.struct_shipmate_segment{data: unsafe.Pointer(&data[0]), size: C.size_t(len(data))}
	}
	_, err = s.call(func(failure *C.struct_shipmate_error) C.int {
		return s.send(&segments[0], C.size_t(len(segments)), failure)
	})
	return err
}

func (s *nativeSink) finish() error {
	return s.close(func() error {
		if s.free(&s.failure) < 0 {
			return errorOfUsing(&s.failure)
		}
		return nil
	})
}

func (s *nativeSink) abandon() { go s.finish() }

type nativeSender struct {
	nativeSink
	sender *C.shipmate_sender
}

func openNativeSender(ctx context.Context, address Address, given options) (sink, error) {
	return openNative(ctx, address, given,
		func(text *C.char, options *C.struct_shipmate_options, failure *C.struct_shipmate_error) (sink, error) {
			var sender *C.shipmate_sender
			if C.shipmate_sender_open(text, options, &sender, failure) < 0 {
				return nil, errFailed
			}
			return newNativeSender(sender), nil
		},
		func(sender sink) { _ = sender.finish() })
}

func newNativeSender(sender *C.shipmate_sender) *nativeSender {
	return &nativeSender{sender: sender, nativeSink: nativeSink{
		send: func(segments *C.struct_shipmate_segment, count C.size_t, failure *C.struct_shipmate_error) C.int {
			return C.shipmate_sender_send(sender, segments, count, failure)
		},
		free: func(failure *C.struct_shipmate_error) C.int { return C.shipmate_sender_close(sender, failure) },
	}}
}

func (s *nativeSender) lend(bytes int) (lentMemory, error) {
	loan := &nativeLoan{of: s}
	var memory unsafe.Pointer
	_, err := s.call(func(failure *C.struct_shipmate_error) C.int {
		return C.shipmate_sender_loan(s.sender, C.size_t(bytes), &loan.loan, &memory, failure)
	})
	if err != nil {
		return nil, err
	}
	loan.memory = unsafe.Slice((*byte)(memory), bytes)
	return loan, nil
}

type nativeLoan struct {
	of     *nativeSender
	loan   *C.shipmate_loan
	memory []byte
}

func (l *nativeLoan) bytes() []byte { return l.memory }

func (l *nativeLoan) publish(used int) error {
	_, err := l.of.call(func(failure *C.struct_shipmate_error) C.int {
		loan := l.loan
		l.loan = nil
		return C.shipmate_loan_publish(loan, C.size_t(used), failure)
	})
	// Of a sender that was closed it is still to be given back.
	l.cancel()
	return err
}

func (l *nativeLoan) cancel() {
	C.shipmate_loan_cancel(l.loan)
	l.loan = nil
}

// A nativeSource receives messages by a function of the library.
type nativeSource struct {
	nativeObject
	ending
	receive func(**C.struct_shipmate_message, *C.struct_shipmate_error) C.int
	lost    func() C.uint64_t
	free    func()
}

func (s *nativeSource) next() (received, error) {
	var message *C.struct_shipmate_message
	var lost uint64
	got, err := s.wait(always, func(failure *C.struct_shipmate_error) C.int {
		result := s.receive(&message, failure)
		if result > 0 {
			lost = uint64(s.lost())
		}
		return result
	})
	switch {
	case err != nil:
		return received{}, s.end(err)
	case got == 0:
		return received{}, io.EOF
	}
	lent, err := newLentMessage(message)
	return received{message: lent, lost: lost}, err
}

func (s *nativeSource) Close() error {
	return s.close(func() error {
		s.free()
		return nil
	})
}

// newLentMessage makes a message of one that is in memory of the library.
func newLentMessage(of *C.struct_shipmate_message) (*capnp.Message, error) {
	segments := unsafe.Slice(of.segments, of.segment_count)
	datas := make([][]byte, len(segments))
	for i, segment := range segments {
		if segment.size > 0 {
			datas[i] = unsafe.Slice((*byte)(segment.data), segment.size)
		}
	}
	arena := &lentArena{capnp.MultiSegment(datas), func() { C.shipmate_message_return(of) }}
	message, _, err := capnp.NewMessage(arena)
	return message, err
}

type nativeListener struct {
	nativeObject
	listener *C.shipmate_listener
}

func listenNative(address Address, given options) (acceptor, error) {
	return openNativeNow(address, given, 0,
		func(text *C.char, options *C.struct_shipmate_options, failure *C.struct_shipmate_error) (acceptor, error) {
			var listener *C.shipmate_listener
			if C.shipmate_receiver_listen(text, options, &listener, failure) < 0 {
				return nil, errFailed
			}
			return &nativeListener{listener: listener}, nil
		})
}

func (l *nativeListener) accept() (source, error) {
	var receiver *C.shipmate_receiver
	_, err := l.wait(always, func(failure *C.struct_shipmate_error) C.int {
		return C.shipmate_receiver_accept(l.listener, lookMillis, &receiver, failure)
	})
	if err != nil {
		return nil, err
	}
	return &nativeSource{
		receive: func(message **C.struct_shipmate_message, failure *C.struct_shipmate_error) C.int {
			return C.shipmate_receiver_receive(receiver, lookMillis, message, failure)
		},
		lost: func() C.uint64_t { return 0 },
		free: func() { C.shipmate_receiver_close(receiver) },
	}, nil
}

func (l *nativeListener) Close() error {
	return l.close(func() error {
		C.shipmate_listener_close(l.listener)
		return nil
	})
}
