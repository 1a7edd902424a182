package shipmate

import (
	"errors"

	"capnproto.org/go/capnp/v3"
)

// The depth to which the library follows pointers when it reads a message. A list of structs takes two of it;
// where just one is left the library has no limit any more, so that to copy a list that holds itself would
// overflow the stack, which ends the program.
const depthMax = 64

// checkPointers refuses a message whose pointers go round in a circle, overlap, or are nested too deeply.
func checkPointers(message *capnp.Message) error {
	size, err := message.TotalSize()
	if err != nil {
		return err
	}
	root, err := message.Root()
	if err != nil {
		return err
	}
	// In a message as builders make it no word is pointed to twice, so that it has fewer pointers than words.
	walk := pointerWalk{left: size / 8}
	if err := walk.target(root, depthMax); err != nil {
		return err
	}
	message.ResetReadLimit(message.TraverseLimit)
	return nil
}

type pointerWalk struct {
	// The pointers that may be followed yet.
	left uint64
}

func (w *pointerWalk) target(to capnp.Ptr, depth int) error {
	if list := to.List(); list.IsValid() {
		if list.Len() == 0 || list.Struct(0).Size().PointerCount == 0 {
			return nil
		}
		if depth < 2 {
			return errors.New("a message that is nested too deeply")
		}
		for i := range list.Len() {
			if err := w.fields(list.Struct(i), depth-2); err != nil {
				return err
			}
		}
		return nil
	}
	return w.fields(to.Struct(), depth-1)
}

func (w *pointerWalk) fields(of capnp.Struct, depth int) error {
	for i := range of.Size().PointerCount {
		if !of.HasPtr(i) {
			continue
		}
		if w.left == 0 {
			return errors.New("a message with more pointers than it has words")
		}
		w.left--
		to, err := of.Ptr(i)
		if err != nil {
			return err
		}
		if err := w.target(to, depth); err != nil {
			return err
		}
	}
	return nil
}
