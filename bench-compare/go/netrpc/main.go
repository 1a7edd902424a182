// The guide's own programs: calls by net/rpc with gob over TCP and Unix sockets, records by gob over a Unix
// socket, and lines of text through a named pipe: `tcp|unix|pipe [fed]`.
package main

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"strconv"
	"strings"
	"syscall"

	"shipmate/bench-compare/kit"
)

// Peer is the service.
type Peer struct{}

// Factors are what is multiplied.
type Factors struct{ A, B int64 }

// Record is the guide's, and a blob.
type Record struct {
	Name  string
	Value int64
	Blob  []byte
}

// Multiply gives the product.
func (*Peer) Multiply(factors Factors, product *int64) error {
	*product = factors.A * factors.B
	return nil
}

// Take gives the sum of one byte in each 4096.
func (*Peer) Take(blob []byte, sum *uint64) error {
	*sum = kit.Sum(blob)
	return nil
}

func main() {
	job := kit.Parse()
	switch pipe := job.Has("pipe"); {
	case pipe && job.Server:
		readLines()
	case pipe:
		writeLines(job)
	case job.Server:
		serve(job)
	case job.OneWay():
		send(job)
	default:
		call(job)
	}
}

func serve(job kit.Job) {
	listener, err := net.Listen(job.Way[0], map[string]string{"tcp": "127.0.0.1:0", "unix": "peer"}[job.Way[0]])
	kit.Must(err)
	kit.Must(rpc.Register(new(Peer)))
	kit.Ready(listener.Addr().String())
	connection, err := listener.Accept()
	kit.Must(err)
	if job.OneWay() {
		receive(connection)
	} else {
		rpc.ServeConn(connection)
	}
	select {}
}

func call(job kit.Job) {
	client, err := rpc.Dial(job.Way[0], job.Address)
	kit.Must(err)
	blob := job.Payload()
	sum := kit.Sum(blob)
	kit.Call(job, func() {
		if job.Work == "multiply" {
			var product int64
			kit.Must(client.Call("Peer.Multiply", Factors{6, 7}, &product))
			expect(product == 42)
		} else {
			var got uint64
			kit.Must(client.Call("Peer.Take", blob, &got))
			expect(got == sum)
		}
	})
}

func receive(connection net.Conn) {
	decoder := gob.NewDecoder(bufio.NewReaderSize(connection, 64<<10))
	var tally kit.Tally
	for {
		var record Record
		if err := decoder.Decode(&record); err == io.EOF {
			break
		} else {
			kit.Must(err)
		}
		expect(record.Name == kit.Name)
		tally.Note(record.Value, record.Blob)
	}
	tally.Figures()
}

func send(job kit.Job) {
	connection, err := net.Dial(job.Way[0], job.Address)
	kit.Must(err)
	buffer := bufio.NewWriterSize(connection, 64<<10)
	encoder := gob.NewEncoder(connection)
	if job.Has("fed") {
		encoder = gob.NewEncoder(buffer)
	}
	blob := job.Payload()
	kit.Send(job, func(value int64) {
		kit.Must(encoder.Encode(Record{kit.Name, value, blob}))
	}, func() {
		kit.Must(buffer.Flush())
		kit.Must(connection.Close())
	})
}

func readLines() {
	kit.Must(syscall.Mkfifo("peer", 0o600))
	kit.Ready("peer")
	file, err := os.Open("peer")
	kit.Must(err)
	var tally kit.Tally
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, err := strconv.ParseInt(value, 10, 64)
		kit.Must(err)
		expect(name == kit.Name)
		tally.Note(number, nil)
	}
	tally.Figures()
	select {}
}

func writeLines(job kit.Job) {
	file, err := os.OpenFile(job.Address, os.O_WRONLY, 0)
	kit.Must(err)
	buffer := bufio.NewWriterSize(file, 64<<10)
	var writer io.Writer = file
	if job.Has("fed") {
		writer = buffer
	}
	kit.Send(job, func(value int64) {
		_, err := fmt.Fprintf(writer, "%s %d\n", kit.Name, value)
		kit.Must(err)
	}, func() {
		kit.Must(buffer.Flush())
		kit.Must(file.Close())
	})
}

func expect(holds bool) {
	if !holds {
		panic("not what was expected")
	}
}
