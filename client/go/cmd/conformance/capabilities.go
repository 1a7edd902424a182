package main

import (
	"context"
	"errors"
	"sync"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// References to objects, of the server and of this program.

func capability(ctx context.Context, service server) error {
	one, err := newCounter(ctx, service, 10)
	if err != nil {
		return err
	}
	defer one.Release()
	other, err := newCounter(ctx, service, 100)
	if err != nil {
		return err
	}
	defer other.Release()
	return errors.Join(
		isValue("10 + 5", 15)(add(ctx, one, 5)),
		isValue("100 - 1", 99)(add(ctx, other, -1)),
		isValue("the one", 15)(read(ctx, one)),
		isValue("the other", 99)(read(ctx, other)),
	)
}

// An object is known again when it comes back to where it lives.
func identity(ctx context.Context, service server) error {
	theirs, err := newCounter(ctx, service, 11)
	if err != nil {
		return err
	}
	defer theirs.Release()
	object := &counter{value: 22}
	ours := conformance.Counter_ServerToClient(object)
	defer ours.Release()
	if err := errors.Join(
		identify(ctx, service, theirs, true, 11),
		identify(ctx, service, ours, false, 22),
		is("how often ours was read", object.reads, 1),
	); err != nil {
		return err
	}

	result, release, err := shipmate.Call(ctx, service.EchoCounter,
		func(p conformance.Conformance_echoCounter_Params) error { return p.SetCounter(ours.AddRef()) })
	if err != nil {
		return err
	}
	defer release()
	echoed := result.Counter()
	if err := isValue("22 + 3", 25)(add(ctx, echoed, 3)); err != nil {
		return err
	}
	if err := echoed.Resolve(ctx); err != nil {
		return err
	}
	return errors.Join(
		is("the object that was called", object.value, 25),
		is("what came back is ours", echoed.IsSame(ours), true),
	)
}

func newCounter(ctx context.Context, service server, start int64) (conformance.Counter, error) {
	result, release, err := shipmate.Call(ctx, service.NewCounter,
		func(p conformance.Conformance_newCounter_Params) error {
			p.SetStart(start)
			return nil
		})
	if err != nil {
		return conformance.Counter{}, err
	}
	defer release()
	return result.Counter().AddRef(), nil
}

func identify(ctx context.Context, service server, counter conformance.Counter, own bool, value int64) error {
	result, release, err := shipmate.Call(ctx, service.Identify,
		func(p conformance.Conformance_identify_Params) error { return p.SetCounter(counter.AddRef()) })
	if err != nil {
		return err
	}
	defer release()
	return errors.Join(is("own", result.Own(), own), is("its value", result.Value(), value))
}

func add(ctx context.Context, counter conformance.Counter, amount int64) (int64, error) {
	result, release, err := shipmate.Call(ctx, counter.Add, func(p conformance.Counter_add_Params) error {
		p.SetAmount(amount)
		return nil
	})
	if err != nil {
		return 0, err
	}
	defer release()
	return result.Value(), nil
}

func read(ctx context.Context, counter conformance.Counter) (int64, error) {
	result, release, err := shipmate.Call(ctx, counter.Read, nil)
	if err != nil {
		return 0, err
	}
	defer release()
	return result.Value(), nil
}

func isValue(what string, expected int64) func(int64, error) error {
	return func(seen int64, err error) error {
		if err != nil {
			return err
		}
		return is(what, seen, expected)
	}
}

// A counter of this program. The library calls an object's methods one after the other.
type counter struct {
	value int64
	reads int
}

func (c *counter) Add(_ context.Context, call conformance.Counter_add) error {
	c.value += call.Args().Amount()
	result, err := call.AllocResults()
	if err == nil {
		result.SetValue(c.value)
	}
	return err
}

func (c *counter) Read(_ context.Context, call conformance.Counter_read) error {
	c.reads++
	result, err := call.AllocResults()
	if err == nil {
		result.SetValue(c.value)
	}
	return err
}

// The server calls an object of ours.
func callback(ctx context.Context, service server) error {
	object := &doubler{}
	client := conformance.Callback_ServerToClient(object)
	defer client.Release()
	result, release, err := shipmate.Call(ctx, service.Call, func(p conformance.Conformance_call_Params) error {
		p.SetTimes(100)
		return p.SetCallback(client.AddRef())
	})
	if err != nil {
		return err
	}
	defer release()
	var expected []int64
	for number := range int64(100) {
		expected = append(expected, number)
	}
	return errors.Join(
		isSame("the numbers it was called with", object.numbers, expected),
		is("the sum of what it answered", result.Sum(), 9900),
	)
}

type doubler struct{ numbers []int64 }

func (d *doubler) Call(_ context.Context, call conformance.Callback_call) error {
	number := call.Args().Number()
	d.numbers = append(d.numbers, number)
	result, err := call.AllocResults()
	if err == nil {
		result.SetAnswer(2 * number)
	}
	return err
}

// The server calls us, and before we answer we call the server, and so on.
func reentrant(ctx context.Context, service server) error {
	object := &reenterer{}
	object.self = conformance.Reentrant_ServerToClient(object)
	defer object.self.Release()
	depth, err := object.reenter(ctx, service, 5)
	if err != nil {
		return err
	}
	return errors.Join(
		is("the depth", depth, 5),
		isSame("the depths it was called with", object.depths, []uint32{4, 3, 2, 1, 0}),
	)
}

type reenterer struct {
	self   conformance.Reentrant
	mutex  sync.Mutex
	depths []uint32
}

func (r *reenterer) Call(ctx context.Context, call conformance.Reentrant_call) error {
	// The next call comes before this one returns.
	call.Go()
	depth := call.Args().Depth()
	r.mutex.Lock()
	r.depths = append(r.depths, depth)
	r.mutex.Unlock()
	depth, err := r.reenter(ctx, call.Args().Server(), depth)
	if err != nil {
		return err
	}
	result, err := call.AllocResults()
	if err == nil {
		result.SetDepth(depth)
	}
	return err
}

func (r *reenterer) reenter(ctx context.Context, service server, depth uint32) (uint32, error) {
	result, release, err := shipmate.Call(ctx, service.Reenter, func(p conformance.Conformance_reenter_Params) error {
		p.SetDepth(depth)
		return p.SetCallback(r.self.AddRef())
	})
	if err != nil {
		return 0, err
	}
	defer release()
	return result.Depth(), nil
}

// Calls on what has not been returned yet: all five are on their way before the first is answered.
func pipelining(ctx context.Context, service server) error {
	first, release := service.Node(ctx, nil)
	defer release()
	node := first.Node()
	for range 3 {
		next, release := node.Next(ctx, nil)
		defer release()
		node = next.Node()
	}
	result, release, err := shipmate.Call(ctx, node.Depth, nil)
	if err != nil {
		return err
	}
	defer release()
	return is("the depth of the fourth node", result.Depth(), 3)
}

// Two results of one call, used before it returned. The server sets the second first.
func outOfOrder(ctx context.Context, service server) error {
	pair, release := service.Pair(ctx, nil)
	defer release()
	return errors.Join(
		isValue("first", 1)(read(ctx, pair.First())),
		isValue("second", 2)(read(ctx, pair.Second())),
	)
}
