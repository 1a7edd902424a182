//go:build !(shipmate_native && cgo && linux)

package shipmate

import (
	"context"
	"errors"
	"fmt"
	"net"
)

func dialNative(_ context.Context, address Address) (net.Conn, error) {
	return nil, fmt.Errorf("%v: %w in this program: build it with -tags shipmate_native, with cgo on Linux, and "+
		"install libshipmate or name its file in SHIPMATE_LIBRARY", address, errors.ErrUnsupported)
}
