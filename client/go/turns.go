package shipmate

import "context"

// Turns are for operations that block, of which one is under way at a time. One whose context is over goes on
// without who asked for it, so that no message is cut or lost by that; its result is for the next who asks.
type turns[R any] struct {
	// Holds the turn while nobody has it.
	free chan struct{}
	// What is under way though nobody waits for it, for who has the turn; else nil.
	late chan outcome[R]
}

type outcome[R any] struct {
	result R
	err    error
}

func newTurns[R any]() *turns[R] {
	t := &turns[R]{free: make(chan struct{}, 1)}
	t.free <- struct{}{}
	return t
}

// wait gives the result of what is under way, or else of the work.
func (t *turns[R]) wait(ctx context.Context, work func() (R, error)) (R, error) {
	var none R
	if err := t.take(ctx); err != nil {
		return none, err
	}
	defer t.give()
	return t.run(ctx, work)
}

// follow does the work after what is under way, or otherwise the last, if the context is over before that.
func (t *turns[R]) follow(ctx context.Context, work func() (R, error), otherwise func()) (R, error) {
	if err := t.settle(ctx); err != nil {
		var none R
		otherwise()
		return none, err
	}
	defer t.give()
	return t.run(ctx, work)
}

// settle takes the turn, and waits for what is under way, whose result nobody wants.
func (t *turns[R]) settle(ctx context.Context) error {
	if err := t.take(ctx); err != nil || t.late == nil {
		return err
	}
	select {
	case <-t.late:
		t.late = nil
		return nil
	case <-ctx.Done():
		t.give()
		return ErrorOf(ctx.Err())
	}
}

func (t *turns[R]) run(ctx context.Context, work func() (R, error)) (R, error) {
	if t.late == nil {
		if ctx.Done() == nil {
			return work()
		}
		late := make(chan outcome[R], 1)
		go func() {
			result, err := work()
			late <- outcome[R]{result, err}
		}()
		t.late = late
	}
	select {
	case done := <-t.late:
		t.late = nil
		return done.result, done.err
	case <-ctx.Done():
		var none R
		return none, ErrorOf(ctx.Err())
	}
}

// isLate says whether something is under way for which nobody waits.
func (t *turns[R]) isLate() bool {
	<-t.free
	defer t.give()
	return t.late != nil && len(t.late) == 0
}

// drain waits for what is under way, which ends soon, and disposes of a result that nobody has got.
func (t *turns[R]) drain(dispose func(R)) {
	<-t.free
	defer t.give()
	if t.late == nil {
		return
	}
	if done := <-t.late; done.err == nil {
		dispose(done.result)
	}
	t.late = nil
}

func (t *turns[R]) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return ErrorOf(err)
	}
	select {
	case <-t.free:
		return nil
	case <-ctx.Done():
		return ErrorOf(ctx.Err())
	}
}

func (t *turns[R]) give() { t.free <- struct{}{} }
