// Package kit has what the Go programs share: the words that they exchange with the driver, and the loops
// that make calls. rust/kit says what the words mean.
package kit

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Name is the guide's record's.
const Name = "sensor-17"

// Job is what the driver asks of this program.
type Job struct {
	Way     []string
	Server  bool
	Address string
	Time    time.Duration
	Work    string
	Size    int
}

// Parse reads the command line.
func Parse() Job {
	arguments := os.Args[1:]
	at := slices.IndexFunc(arguments, func(word string) bool { return word == "server" || word == "client" })
	job := Job{Way: arguments[:at], Server: arguments[at] == "server"}
	rest := arguments[at+1:]
	if !job.Server {
		job.Address, rest = rest[0], rest[1:]
		seconds, err := strconv.ParseFloat(rest[2], 64)
		Must(err)
		job.Time = time.Duration(seconds * float64(time.Second))
	}
	size, err := strconv.Atoi(rest[1])
	Must(err)
	job.Work, job.Size = rest[0], size
	return job
}

// Has says whether the way has this word.
func (job Job) Has(word string) bool { return slices.Contains(job.Way, word) }

// OneWay says whether the work is to send and not to call.
func (job Job) OneWay() bool { return job.Work == "record" || job.Work == "bulk" }

// Payload is what is sent, beside the small parts of a message.
func (job Job) Payload() []byte {
	if job.Work != "blob" && job.Work != "bulk" {
		return nil
	}
	payload := make([]byte, job.Size)
	for i := range payload {
		payload[i] = 7
	}
	return payload
}

// InFlight is how many callers there are.
func (job Job) InFlight() int {
	if job.Work == "multiply" {
		return job.Size
	}
	return 1
}

// Sum adds up one byte in each 4096.
func Sum(bytes []byte) uint64 {
	var sum uint64
	for i := 0; i < len(bytes); i += 4096 {
		sum += uint64(bytes[i])
	}
	return sum
}

// Must ends the program for an error that nothing here can help.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Ready says where the server listens, once it does, and ends this process with its standard input.
func Ready(address string) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("ready", address)
}

// Call makes calls, so many at a time, and says the figures.
func Call(job Job, one func()) {
	calls(job.Time/5, job.InFlight(), one)
	fmt.Println("start")
	start, used := time.Now(), cpu()
	took := calls(job.Time, job.InFlight(), one)
	elapsed := time.Since(start)
	used = cpu() - used
	slices.Sort(took)
	at := func(part int) time.Duration { return took[min(len(took)*part/100, len(took)-1)] }
	figures(len(took), elapsed, at(50), at(99), used)
}

func calls(length time.Duration, inFlight int, one func()) []time.Duration {
	end := time.Now().Add(length)
	of := make([][]time.Duration, inFlight)
	var callers sync.WaitGroup
	for i := range inFlight {
		callers.Go(func() {
			for before := time.Now(); before.Before(end); {
				one()
				now := time.Now()
				of[i] = append(of[i], now.Sub(before))
				before = now
			}
		})
	}
	callers.Wait()
	return slices.Concat(of...)
}

// Send sends until the time is over, then ends, and says the figures. Of small messages, so many are sent
// that a look at the clock would count.
func Send(job Job, one func(value int64), end func()) {
	fmt.Println("start")
	start, used := time.Now(), cpu()
	var sent int64
	for sent%16 != 0 && job.Work == "record" || time.Since(start) < job.Time {
		sent++
		one(sent)
	}
	end()
	figures(int(sent), time.Since(start), 0, 0, cpu()-used)
}

// Tally counts what is received one way, from the first message to the last.
type Tally struct {
	messages int
	first    time.Time
	seen     uint64
}

// Note notes a message whose value and blob were read.
func (tally *Tally) Note(value int64, blob []byte) {
	if tally.messages == 0 {
		tally.first = time.Now()
	}
	tally.messages++
	tally.seen += uint64(value) + Sum(blob)
}

// Figures says what was received, once the sender has ended. The first message is where time begins.
func (tally *Tally) Figures() {
	figures(tally.messages-1, time.Since(tally.first), 0, 0, cpu())
}

func figures(calls int, elapsed, p50, p99, used time.Duration) {
	fmt.Printf("{\"calls\":%d,\"seconds\":%g,\"p50_ns\":%d,\"p99_ns\":%d,\"cpu_client_ns\":%d}\n",
		calls, elapsed.Seconds(), p50.Nanoseconds(), p99.Nanoseconds(), used.Nanoseconds())
}

// cpu is what this process has used.
func cpu() time.Duration {
	var used syscall.Rusage
	Must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
