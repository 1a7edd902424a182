package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// Schemas that grow: programs of different age understand each other.

func futureEnum(ctx context.Context, service server) error {
	for _, number := range []uint16{uint16(conformance.Colour_green), 999} {
		result, release, err := shipmate.Call(ctx, service.Paint, func(p conformance.Conformance_paint_Params) error {
			p.SetColour(number)
			return nil
		})
		if err != nil {
			return err
		}
		painted, err := result.Painted()
		if err != nil {
			return err
		}
		if err := is("the colour", conformance.Painted(painted.Struct()).Colour(), conformance.Colour(number)); err != nil {
			return err
		}
		release()
	}
	return nil
}

type newer struct {
	Name   string
	Value  int64
	Unit   string
	Weight float64
	Tags   []string
}

func evolution(ctx context.Context, service server) error {
	return errors.Join(throughOlder(ctx, service), fromOlder(ctx, service))
}

// Through a program that knows less than we do, nothing is lost.
func throughOlder(ctx context.Context, service server) error {
	sent := newer{"keel", -5, "fathom", 2.25, []string{"oak"}}
	result, release, err := shipmate.Call(ctx, service.AsOlder, func(p conformance.Conformance_asOlder_Params) error {
		to, err := conformance.NewNewerRecord(p.Segment())
		if err != nil {
			return err
		}
		return errors.Join(sent.write(to), p.SetRecord(to.ToPtr()))
	})
	if err != nil {
		return err
	}
	defer release()
	name, err := result.Name()
	if err != nil {
		return err
	}
	if err := is("the name, read as an older record", name, sent.Name); err != nil {
		return err
	}
	record, err := result.Record()
	if err != nil {
		return err
	}
	return isRecord(conformance.NewerRecord(record.Struct()), sent)
}

// From a program that knows less than the server, what is missing has its default.
func fromOlder(ctx context.Context, service server) error {
	result, release, err := shipmate.Call(ctx, service.AsNewer, func(p conformance.Conformance_asNewer_Params) error {
		to, err := conformance.NewOlderRecord(p.Segment())
		if err != nil {
			return err
		}
		to.SetValue(7)
		return errors.Join(to.SetName("mast"), p.SetRecord(to.ToPtr()))
	})
	if err != nil {
		return err
	}
	defer release()
	record, err := result.Record()
	if err != nil {
		return err
	}
	return isRecord(record, newer{"mast", 7, "metre", 1.5, nil})
}

func (n newer) write(to conformance.NewerRecord) error {
	to.SetValue(n.Value)
	to.SetWeight(n.Weight)
	tags, err := to.NewTags(int32(len(n.Tags)))
	if err != nil {
		return err
	}
	for index, tag := range n.Tags {
		if err := tags.Set(index, tag); err != nil {
			return err
		}
	}
	return errors.Join(to.SetName(n.Name), to.SetUnit(n.Unit))
}

func isRecord(from conformance.NewerRecord, expected newer) error {
	name, errName := from.Name()
	unit, errUnit := from.Unit()
	tags, errTags := from.Tags()
	if err := errors.Join(errName, errUnit, errTags); err != nil {
		return err
	}
	seen := newer{name, from.Value(), unit, from.Weight(), nil}
	for index := range tags.Len() {
		tag, err := tags.At(index)
		if err != nil {
			return err
		}
		seen.Tags = append(seen.Tags, tag)
	}
	if !reflect.DeepEqual(seen, expected) {
		return fmt.Errorf("the record: expected %+v and saw %+v", expected, seen)
	}
	return nil
}
