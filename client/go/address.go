package shipmate

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An Address is where a peer is and how bytes get there, written as transport:place.
//
//	tcp:HOST:PORT, tcp:[::1]:PORT   TCP
//	unix:/path, unix:@name          a Unix socket: a file, or a name without one (Linux)
//	pipe:/path                      named pipes
//	shm:/path                       shared memory; the path is of the Unix socket where both sides meet
//	auto:/path                      the fastest that both sides have, of the last and a Unix socket
type Address struct {
	Transport string
	Place     string
}

func (a Address) String() string { return a.Transport + ":" + a.Place }

const (
	anyForm  = "tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path, shm:/path or auto:/path"
	tcpForm  = "tcp:HOST:PORT, as in tcp:127.0.0.1:7700 or tcp:[::1]:7700"
	unixForm = "unix:/path or unix:@name, of at most 107 bytes"
)

// The system's sockaddr_un has room for so many bytes (unix(7)).
const socketNameBytesMax = 107

// ParseAddress reads an address. Its error is an [*AddressError], which shows the right form.
func ParseAddress(text string) (Address, error) {
	refuse := func(form string) (Address, error) { return Address{}, &AddressError{Given: text, Expected: form} }
	transport, place, found := strings.Cut(text, ":")
	if !found {
		return refuse(anyForm)
	}
	if strings.ContainsRune(place, 0) {
		return refuse("a place without NUL bytes")
	}
	tooLong := len(place) > socketNameBytesMax
	switch transport {
	case "tcp":
		if !isHostAndPort(place) {
			return refuse(tcpForm)
		}
	case "unix":
		// After an @ the name has as many bytes as a path has.
		if place == "" || place == "@" || len(strings.TrimPrefix(place, "@")) > socketNameBytesMax {
			return refuse(unixForm)
		}
	case "pipe":
		if place == "" {
			return refuse("pipe:/path/of/a/fifo")
		}
	case "shm", "auto":
		if place == "" || tooLong {
			return refuse(transport + ":/path, of at most 107 bytes")
		}
	default:
		return refuse(anyForm)
	}
	return Address{Transport: transport, Place: place}, nil
}

func isHostAndPort(place string) bool {
	host, port, err := net.SplitHostPort(place)
	if err != nil || host == "" {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	if strings.HasPrefix(place, "[") {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Is6()
	}
	return !strings.ContainsAny(host, " \t\r\n/@[]")
}

// isAbstract says whether a Unix socket's name is one without a file.
func (a Address) isAbstract() bool { return strings.HasPrefix(a.Place, "@") }
