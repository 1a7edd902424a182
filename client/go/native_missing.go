//go:build !(shipmate_native && cgo && linux)

package shipmate

import (
	"context"
	"errors"
	"fmt"
	"net"
)

func dialNative(_ context.Context, address Address) (net.Conn, error) { return nil, missing(address) }

func openNativeSender(_ context.Context, address Address, _ options) (sink, error) {
	return nil, missing(address)
}

func listenNative(address Address, _ options) (acceptor, error) { return nil, missing(address) }

func openNativePublisher(address Address, _ options) (publishing, error) {
	return nil, missing(address)
}

func openNativeSubscriber(_ context.Context, address Address, _ Policy, _ options) (source, error) {
	return nil, missing(address)
}

func missing(address Address) error {
	return fmt.Errorf("%v: %w in this program: build it with -tags shipmate_native, with cgo on Linux, and "+
		"install libshipmate or name its file in SHIPMATE_LIBRARY", address, errors.ErrUnsupported)
}
