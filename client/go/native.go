//go:build shipmate_native && cgo && linux

package shipmate

/*
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "native_library.h"
#include "shipmate.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// dialNative connects through libshipmate, whose thread carries the far end of the socket over the
// transport.
func dialNative(ctx context.Context, address Address) (net.Conn, error) {
	return openNative(ctx, address, options{},
		func(text *C.char, options *C.struct_shipmate_options, failure *C.struct_shipmate_error) (net.Conn, error) {
			socket := C.shipmate_connect(text, options, failure)
			if socket < 0 {
				return nil, errFailed
			}
			file := os.NewFile(uintptr(socket), address.String())
			defer file.Close() // FileConn has a copy.
			return net.FileConn(file)
		},
		func(conn net.Conn) { conn.Close() })
}

// The library says why.
var errFailed = errors.New("see the failure")

// An opener calls a function that opens something at an address.
type opener[R any] func(*C.char, *C.struct_shipmate_options, *C.struct_shipmate_error) (R, error)

// openNative opens what takes time to open, and until the context is over.
func openNative[R any](
	ctx context.Context, address Address, given options, open opener[R], discard func(R),
) (R, error) {
	ctx, cancel := withDefaultTimeout(ctx)
	defer cancel()
	done := make(chan outcome[R], 1)
	go func() {
		deadline, _ := ctx.Deadline()
		result, err := openNativeNow(address, given, max(time.Until(deadline), time.Millisecond), open)
		done <- outcome[R]{result, err}
	}()
	select {
	case done := <-done:
		return done.result, done.err
	case <-ctx.Done():
		// It ends soon after the deadline that it has too.
		go func() {
			if late := <-done; late.err == nil {
				discard(late.result)
			}
		}()
		var none R
		return none, unreachable(address, ctx.Err())
	}
}

// openNativeNow opens what takes no time, or no more than this; 0 stands for the library's own.
func openNativeNow[R any](
	address Address, given options, timeout time.Duration, open opener[R],
) (result R, err error) {
	if err := loadLibrary(); err != nil {
		return result, fmt.Errorf("%v: %w", address, err)
	}
	if given.tier < TierCopy || given.tier > TierTrusted {
		return result, errors.New("shipmate: a tier is TierCopy, TierSealed or TierTrusted")
	}
	text := C.CString(address.String())
	defer C.free(unsafe.Pointer(text))
	options := C.struct_shipmate_options{
		size:               C.sizeof_struct_shipmate_options,
		connect_timeout_ms: C.uint32_t(min(timeout.Milliseconds(), math.MaxInt32)),
		spin_us:            C.uint32_t(min(max(given.spin.Microseconds(), 0), math.MaxInt32)),
		tier:               [...]C.uint32_t{C.SHIPMATE_TIER_COPY, C.SHIPMATE_TIER_SEALED, C.SHIPMATE_TIER_TRUSTED}[given.tier],
	}
	var failure C.struct_shipmate_error
	result, err = open(text, &options, &failure)
	if err == errFailed {
		err = errorOfOpening(address, &failure)
	}
	return result, err
}

func errorOfOpening(address Address, failure *C.struct_shipmate_error) error {
	message := textOf(failure)
	switch failure.code {
	case C.SHIPMATE_ERROR_ADDRESS:
		return &AddressError{Given: address.String(), Expected: message.Error()}
	case C.SHIPMATE_ERROR_UNREACHABLE, C.SHIPMATE_ERROR_DEADLINE:
		return fmt.Errorf("%w: %w", ErrUnreachable, message)
	case C.SHIPMATE_ERROR_ADDRESS_IN_USE:
		return fmt.Errorf("%w: %w", syscall.EADDRINUSE, message)
	default:
		return errorOfUsing(failure)
	}
}

// errorOfUsing is of what was opened.
func errorOfUsing(failure *C.struct_shipmate_error) error {
	message := textOf(failure)
	switch failure.code {
	case C.SHIPMATE_ERROR_DISCONNECTED:
		return lost("the peer is gone", message)
	case C.SHIPMATE_ERROR_PROTOCOL:
		return lost("the peer broke the protocol", message)
	case C.SHIPMATE_ERROR_DEADLINE:
		return fmt.Errorf("%w: %w", ErrDeadline, message)
	case C.SHIPMATE_ERROR_OS:
		return fmt.Errorf("shipmate: %w (%w)", message, syscall.Errno(failure.os_error))
	default:
		return fmt.Errorf("shipmate: %w", message)
	}
}

func textOf(failure *C.struct_shipmate_error) error {
	return errors.New(C.GoString(&failure.message[0]))
}

// loadLibrary finds the library, once.
var loadLibrary = sync.OnceValue(func() error {
	name := os.Getenv("SHIPMATE_LIBRARY")
	if name == "" {
		name = "libshipmate.so"
	}
	path := C.CString(name)
	defer C.free(unsafe.Pointer(path))
	if wrong := C.load_shipmate(path); wrong != nil {
		return fmt.Errorf("%w without libshipmate: install it, or name its file in SHIPMATE_LIBRARY (%s: %s)",
			errors.ErrUnsupported, name, C.GoString(wrong))
	}
	return nil
})
