// gRPC for Go: `tcp|unix`.
package main

import (
	"context"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"shipmate/bench-compare/kit"
	"shipmate/bench-compare/peerpb"
)

// Room for the largest argument, and windows that do not hold it up.
const (
	messageBytesMax = 64 << 20
	windowBytes     = 16 << 20
)

type peer struct {
	peerpb.UnimplementedPeerServer
}

func (peer) Multiply(_ context.Context, factors *peerpb.Factors) (*peerpb.Product, error) {
	return &peerpb.Product{Product: factors.A * factors.B}, nil
}

func (peer) Take(_ context.Context, blob *peerpb.Blob) (*peerpb.Sum, error) {
	return &peerpb.Sum{Sum: kit.Sum(blob.Blob)}, nil
}

func (peer) Send(stream grpc.ClientStreamingServer[peerpb.Record, peerpb.Sum]) error {
	var tally kit.Tally
	for {
		record, err := stream.Recv()
		if err == io.EOF {
			break
		}
		kit.Must(err)
		expect(record.Name == kit.Name)
		tally.Note(record.Value, record.Blob)
	}
	tally.Figures()
	return stream.SendAndClose(&peerpb.Sum{})
}

func main() {
	job := kit.Parse()
	if job.Server {
		serve(job)
	} else {
		work(job)
	}
}

func serve(job kit.Job) {
	listener, err := net.Listen(job.Way[0], map[string]string{"tcp": "127.0.0.1:0", "unix": "peer"}[job.Way[0]])
	kit.Must(err)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(messageBytesMax),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(windowBytes),
	)
	peerpb.RegisterPeerServer(server, peer{})
	address := listener.Addr().String()
	if job.Way[0] == "unix" {
		address = "unix:" + address
	}
	kit.Ready(address)
	kit.Must(server.Serve(listener))
}

func work(job kit.Job) {
	connection, err := grpc.NewClient(job.Address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(windowBytes),
		grpc.WithInitialConnWindowSize(windowBytes),
	)
	kit.Must(err)
	client := peerpb.NewPeerClient(connection)
	ctx := context.Background()
	if job.OneWay() {
		send(ctx, client, job)
		return
	}
	blob := job.Payload()
	sum := kit.Sum(blob)
	kit.Call(job, func() {
		if job.Work == "multiply" {
			product, err := client.Multiply(ctx, &peerpb.Factors{A: 6, B: 7})
			kit.Must(err)
			expect(product.Product == 42)
		} else {
			got, err := client.Take(ctx, &peerpb.Blob{Blob: blob})
			kit.Must(err)
			expect(got.Sum == sum)
		}
	})
}

func send(ctx context.Context, client peerpb.PeerClient, job kit.Job) {
	stream, err := client.Send(ctx)
	kit.Must(err)
	blob := job.Payload()
	kit.Send(job, func(value int64) {
		kit.Must(stream.Send(&peerpb.Record{Name: kit.Name, Value: value, Blob: blob}))
	}, func() {
		_, err := stream.CloseAndRecv()
		kit.Must(err)
	})
}

func expect(holds bool) {
	if !holds {
		panic("not what was expected")
	}
}
