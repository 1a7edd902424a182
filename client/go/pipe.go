package shipmate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A pipe is a named pipe (mkfifo(3)) to receive from.
type pipe struct {
	path   string
	isOurs bool
	closed atomic.Bool
	once   sync.Once
	// Held while a writer is waited for.
	opening sync.Mutex
}

// makePipe makes the pipe if it is missing, and will then remove it when it is closed.
func makePipe(path string) (*pipe, error) {
	err := syscall.Mkfifo(path, 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	info, statErr := os.Stat(path)
	if statErr != nil {
		return nil, statErr
	}
	if info.Mode()&fs.ModeNamedPipe == 0 {
		return nil, fmt.Errorf("%s is there, and is no named pipe", path)
	}
	return &pipe{path: path, isOurs: err == nil}, nil
}

// accept waits for a writer.
func (p *pipe) accept() (source, error) {
	p.opening.Lock()
	defer p.opening.Unlock()
	if p.closed.Load() {
		return nil, net.ErrClosed
	}
	file, err := os.OpenFile(p.path, os.O_RDONLY, 0)
	if err == nil && p.closed.Load() {
		file.Close()
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	return newCodec(file), nil
}

// Close ends an accept that waits.
func (p *pipe) Close() error {
	err := net.ErrClosed
	p.once.Do(func() {
		p.closed.Store(true)
		// Who waits for a writer, or is about to, sees one come and go. It opens both ends: with the one alone
		// this would fail as long as nobody waits.
		if waker, wakeErr := os.OpenFile(p.path, os.O_RDWR|syscall.O_NONBLOCK, 0); wakeErr == nil {
			p.opening.Lock()
			waker.Close()
			p.opening.Unlock()
		}
		err = p.remove()
	})
	return err
}

func (p *pipe) remove() error {
	if !p.isOurs {
		return nil
	}
	// The other side may have removed it: then both have it open.
	if err := os.Remove(p.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// openPipeToWrite waits for a reader. There is no way to be told of one, so it looks again and again.
func openPipeToWrite(ctx context.Context, path string) (*os.File, error) {
	made, err := makePipe(path)
	if err != nil {
		return nil, err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		switch {
		case err == nil:
			// Its reader has it open: the name has served. The next two make another.
			return file, made.remove()
		case errors.Is(err, fs.ErrNotExist):
			if made, err = makePipe(path); err != nil {
				return nil, err
			}
		case !errors.Is(err, syscall.ENXIO):
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			_ = made.Close()
			return nil, fmt.Errorf("%w at pipe:%s: nobody reads it: %w", ErrUnreachable, path, ctx.Err())
		}
	}
}
