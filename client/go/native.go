//go:build shipmate_native && cgo && linux

package shipmate

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// As in shipmate.h, of which this is all that is needed.
struct shipmate_error {
	int code, os_error;
	char message[504];
};
struct shipmate_options {
	size_t size;
	uint32_t connect_timeout_ms, spin_us, mode, reserved;
};
typedef int connect_function(const char *, const struct shipmate_options *, struct shipmate_error *);

static int call_connect(void *function, const char *address, uint32_t timeout_ms, struct shipmate_error *error) {
	struct shipmate_options options = {sizeof options, timeout_ms, 0, 0, 0};
	return ((connect_function *)function)(address, &options, error);
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unsafe"
)

// Of enum shipmate_error_code.
const (
	nativeAddress      = 1
	nativeUnreachable  = 2
	nativeDisconnected = 5
	nativeDeadline     = 7
)

// dialNative connects through libshipmate, whose thread carries the far end of the socket over the
// transport.
func dialNative(ctx context.Context, address Address) (net.Conn, error) {
	function, err := nativeConnect()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", address, err)
	}
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := callNative(ctx, function, address)
		done <- result{conn, err}
	}()
	select {
	case result := <-done:
		return result.conn, result.err
	case <-ctx.Done():
		// The call ends soon after the deadline that it has too.
		go func() {
			if late := <-done; late.err == nil {
				late.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func callNative(ctx context.Context, function unsafe.Pointer, address Address) (net.Conn, error) {
	timeout := connectTimeout
	if deadline, has := ctx.Deadline(); has {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	text := C.CString(address.String())
	defer C.free(unsafe.Pointer(text))
	var failure C.struct_shipmate_error
	socket := C.call_connect(function, text, C.uint32_t(min(timeout.Milliseconds(), 1<<31)), &failure)
	if socket < 0 {
		message := errors.New(C.GoString(&failure.message[0]))
		switch failure.code {
		case nativeAddress:
			return nil, &AddressError{Given: address.String(), Expected: message.Error()}
		case nativeUnreachable, nativeDeadline:
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, message)
		case nativeDisconnected:
			return nil, lost("while connecting", message)
		default:
			return nil, message
		}
	}
	file := os.NewFile(uintptr(socket), address.String())
	defer file.Close() // FileConn has a copy.
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return carried{conn.(*net.UnixConn)}, nil
}

// A carried connection has its far end in this process, at a thread of the library.
type carried struct{ *net.UnixConn }

// finish waits until the peer has taken everything and closed. A Go program ends without the library's
// knowing, and with it the thread that has still something to carry.
func (c carried) finish() error {
	if err := c.CloseWrite(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c)
	return err
}

// nativeConnect finds the library's function, once.
var nativeConnect = sync.OnceValues(func() (unsafe.Pointer, error) {
	name := os.Getenv("SHIPMATE_LIBRARY")
	if name == "" {
		name = "libshipmate.so"
	}
	library := C.CString(name)
	defer C.free(unsafe.Pointer(library))
	symbol := C.CString("shipmate_connect")
	defer C.free(unsafe.Pointer(symbol))
	handle := C.dlopen(library, C.RTLD_NOW|C.RTLD_LOCAL)
	if handle == nil {
		return nil, fmt.Errorf("%w without libshipmate: install it, or name its file in SHIPMATE_LIBRARY (%s)",
			errors.ErrUnsupported, C.GoString(C.dlerror()))
	}
	function := C.dlsym(handle, symbol)
	if function == nil {
		return nil, fmt.Errorf("%w: %s is not libshipmate: it has no shipmate_connect", errors.ErrUnsupported, name)
	}
	return function, nil
})
