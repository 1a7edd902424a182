package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	"capnproto.org/go/capnp/v3"

	shipmate "github.com/shipmate-ipc/shipmate/client/go"
	"github.com/shipmate-ipc/shipmate/client/go/schema/conformance"
)

// Values of every type, which come back as they were sent.

type numbers struct {
	Bool    bool
	Int8    int8
	Int16   int16
	Int32   int32
	Int64   int64
	Uint8   uint8
	Uint16  uint16
	Uint32  uint32
	Uint64  uint64
	Float32 float32
	Float64 float64
}

var (
	between = numbers{true, -12, -1234, -123_456_789, -1_234_567_890_123_456_789, 200, 54_321, 4_000_000_000,
		12_345_678_901_234_567_890, 1.5, -1.25e-300}
	least = numbers{false, math.MinInt8, math.MinInt16, math.MinInt32, math.MinInt64, 0, 0, 0, 0,
		float32(math.Inf(-1)), math.Inf(-1)}
	greatest = numbers{true, math.MaxInt8, math.MaxInt16, math.MaxInt32, math.MaxInt64, math.MaxUint8,
		math.MaxUint16, math.MaxUint32, math.MaxUint64, float32(math.Inf(1)), math.Inf(1)}
)

func readNumbers(from conformance.Primitives) numbers {
	return numbers{from.Bool(), from.Int8(), from.Int16(), from.Int32(), from.Int64(), from.Uint8(), from.Uint16(),
		from.Uint32(), from.Uint64(), from.Float32(), from.Float64()}
}

func (n numbers) write(to conformance.Primitives) {
	to.SetBool(n.Bool)
	to.SetInt8(n.Int8)
	to.SetInt16(n.Int16)
	to.SetInt32(n.Int32)
	to.SetInt64(n.Int64)
	to.SetUint8(n.Uint8)
	to.SetUint16(n.Uint16)
	to.SetUint32(n.Uint32)
	to.SetUint64(n.Uint64)
	to.SetFloat32(n.Float32)
	to.SetFloat64(n.Float64)
}

func primitives(ctx context.Context, service server) error {
	result, release, err := shipmate.Call(ctx, service.Extremes, nil)
	if err != nil {
		return err
	}
	defer release()
	for _, extreme := range []struct {
		what     string
		get      func() (conformance.Primitives, error)
		expected numbers
	}{{"the least", result.Least, least}, {"the greatest", result.Greatest, greatest}} {
		value, err := extreme.get()
		if err != nil {
			return err
		}
		if err := is(extreme.what, readNumbers(value), extreme.expected); err != nil {
			return err
		}
	}
	for _, expected := range []numbers{between, least, greatest} {
		seen, err := echoNumbers(ctx, service, expected)
		if err != nil {
			return err
		}
		if err := is("echoed", seen, expected); err != nil {
			return err
		}
	}
	nan := between
	nan.Float32, nan.Float64 = float32(math.NaN()), math.NaN()
	seen, err := echoNumbers(ctx, service, nan)
	if err != nil {
		return err
	}
	return is("NaN, of 32 and of 64 bits",
		[2]bool{math.IsNaN(float64(seen.Float32)), math.IsNaN(seen.Float64)}, [2]bool{true, true})
}

func echoNumbers(ctx context.Context, service server, value numbers) (numbers, error) {
	result, release, err := shipmate.Call(ctx, service.Primitives,
		func(p conformance.Conformance_primitives_Params) error {
			to, err := p.NewValue()
			if err == nil {
				value.write(to)
			}
			return err
		})
	if err != nil {
		return numbers{}, err
	}
	defer release()
	echoed, err := result.Value()
	return readNumbers(echoed), err
}

func text(ctx context.Context, service server) error {
	var everyPlane strings.Builder
	for plane := rune(0); plane <= 16; plane++ {
		everyPlane.WriteRune(plane<<16 + 0x1041)
	}
	for _, text := range []string{"", "Ahoy!", "naïve, Ωμέγα, 船, 🚢", everyPlane.String(), "before\x00after",
		strings.Repeat("x", 1000), strings.Repeat("船", 33_333), strings.Repeat("x", 100_000)} {
		if err := echoText(ctx, service, text); err != nil {
			return err
		}
	}
	return nil
}

func echoText(ctx context.Context, service server, text string) error {
	result, release, err := shipmate.Call(ctx, service.Text,
		func(p conformance.Conformance_text_Params) error { return p.SetValue(text) })
	if err != nil {
		return err
	}
	defer release()
	if err := is("its bytes", int(result.Bytes()), len(text)); err != nil {
		return err
	}
	echoed, err := result.Value()
	if err != nil {
		return err
	}
	return isSame("a text", []byte(echoed), []byte(text))
}

func data(ctx context.Context, service server) error {
	every, long := make([]byte, 256), make([]byte, 100_000)
	for index := range every {
		every[index] = byte(index)
	}
	for index := range long {
		long[index] = byte(index*7 + 3)
	}
	for _, data := range [][]byte{{}, every, long} {
		if err := echoData(ctx, service, data); err != nil {
			return err
		}
	}
	return nil
}

func echoData(ctx context.Context, service server, data []byte) error {
	result, release, err := shipmate.Call(ctx, service.Data,
		func(p conformance.Conformance_data_Params) error { return p.SetValue(data) })
	if err != nil {
		return err
	}
	defer release()
	if err := is("the sum", result.Sum(), sumOf(data)); err != nil {
		return err
	}
	echoed, err := result.Value()
	if err != nil {
		return err
	}
	return isSame("the data", echoed, data)
}

func sumOf(data []byte) (sum uint32) {
	for _, value := range data {
		sum += uint32(value)
	}
	return sum
}

type point struct{ X, Y int32 }

// Each field is a list of the schema's; an empty one is nil.
type listsValue struct {
	Bools   []bool
	Bytes   []uint8
	Longs   []int64
	Texts   []string
	Grid    [][]int32
	Points  []point
	Colours []conformance.Colour
}

var fullLists = listsValue{
	Bools:  []bool{true, false, true, true, false, false, true, false, true},
	Bytes:  []uint8{0, 1, 127, 128, 255},
	Longs:  []int64{math.MinInt64, -1, 0, 1, math.MaxInt64},
	Texts:  []string{"", "one", "zwei", "三"},
	Grid:   [][]int32{{1}, nil, {2, -3, math.MaxInt32}, {math.MinInt32, 5}},
	Points: []point{{1, 2}, {-3, 4}, {math.MinInt32, math.MaxInt32}},
	Colours: []conformance.Colour{conformance.Colour_blue, conformance.Colour_red, conformance.Colour_green,
		conformance.Colour_blue},
}

func lists(ctx context.Context, service server) error {
	for _, value := range []listsValue{{}, fullLists} {
		if err := echoLists(ctx, service, value); err != nil {
			return err
		}
	}
	return nil
}

func echoLists(ctx context.Context, service server, value listsValue) error {
	result, release, err := shipmate.Call(ctx, service.Lists, func(p conformance.Conformance_lists_Params) error {
		to, err := p.NewValue()
		if err != nil {
			return err
		}
		return value.write(to)
	})
	if err != nil {
		return err
	}
	defer release()
	echoed, err := result.Value()
	if err != nil {
		return err
	}
	seen, err := readLists(echoed)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(seen, value) {
		return fmt.Errorf("the lists: expected %+v and saw %+v", value, seen)
	}
	return nil
}

func (v listsValue) write(to conformance.Lists) error {
	bools, errBools := to.NewBools(int32(len(v.Bools)))
	bytes, errBytes := to.NewBytes(int32(len(v.Bytes)))
	longs, errLongs := to.NewLongs(int32(len(v.Longs)))
	texts, errTexts := to.NewTexts(int32(len(v.Texts)))
	grid, errGrid := to.NewGrid(int32(len(v.Grid)))
	points, errPoints := to.NewPoints(int32(len(v.Points)))
	colours, errColours := to.NewColours(int32(len(v.Colours)))
	err := errors.Join(errBools, errBytes, errLongs, errTexts, errGrid, errPoints, errColours)
	if err != nil {
		return err
	}
	setAll(bools, v.Bools)
	setAll(bytes, v.Bytes)
	setAll(longs, v.Longs)
	setAll(colours, v.Colours)
	writePoints(v.Points, points)
	for index, text := range v.Texts {
		if err := texts.Set(index, text); err != nil {
			return err
		}
	}
	for index, row := range v.Grid {
		cells, err := capnp.NewInt32List(to.Segment(), int32(len(row)))
		if err != nil {
			return err
		}
		setAll(cells, row)
		if err := grid.Set(index, cells.ToPtr()); err != nil {
			return err
		}
	}
	return nil
}

func readLists(from conformance.Lists) (v listsValue, err error) {
	bools, errBools := from.Bools()
	bytes, errBytes := from.Bytes()
	longs, errLongs := from.Longs()
	texts, errTexts := from.Texts()
	grid, errGrid := from.Grid()
	points, errPoints := from.Points()
	colours, errColours := from.Colours()
	err = errors.Join(errBools, errBytes, errLongs, errTexts, errGrid, errPoints, errColours)
	if err != nil {
		return v, err
	}
	v.Bools, v.Bytes, v.Longs, v.Colours = all(bools), all(bytes), all(longs), all(colours)
	v.Points = readPoints(points)
	for index := range texts.Len() {
		text, err := texts.At(index)
		if err != nil {
			return v, err
		}
		v.Texts = append(v.Texts, text)
	}
	for index := range grid.Len() {
		row, err := grid.At(index)
		if err != nil {
			return v, err
		}
		v.Grid = append(v.Grid, all(capnp.Int32List(row.List())))
	}
	return v, nil
}

func setAll[T any](to interface{ Set(int, T) }, values []T) {
	for index, value := range values {
		to.Set(index, value)
	}
}

func all[T any](from interface {
	Len() int
	At(int) T
}) (values []T) {
	for index := range from.Len() {
		values = append(values, from.At(index))
	}
	return values
}

func writePoints(values []point, to conformance.Point_List) {
	for index, value := range values {
		to.At(index).SetX(value.X)
		to.At(index).SetY(value.Y)
	}
}

func readPoints(from conformance.Point_List) (values []point) {
	for _, value := range all(from) {
		values = append(values, point{value.X(), value.Y()})
	}
	return values
}

// Each arm of a union, beside a group that has nothing to do with it.
func unions(ctx context.Context, service server) error {
	for _, value := range []shape{
		{Name: "a circle", Arm: conformance.Shape_Which_circle, Numbers: [2]float64{2.5}},
		{Name: "a rectangle", Arm: conformance.Shape_Which_rectangle, Numbers: [2]float64{3, 0.25}},
		{Name: "a polygon", Arm: conformance.Shape_Which_polygon, Points: []point{{0, 0}, {7, 0}, {0, -7}}},
		{Name: "nothing", Arm: conformance.Shape_Which_nothing},
	} {
		value.Width, value.Colour = 7, conformance.Colour_green
		if err := echoShape(ctx, service, value); err != nil {
			return err
		}
	}
	return nil
}

func echoShape(ctx context.Context, service server, value shape) error {
	result, release, err := shipmate.Call(ctx, service.Shape, func(p conformance.Conformance_shape_Params) error {
		to, err := p.NewValue()
		if err != nil {
			return err
		}
		return value.write(to)
	})
	if err != nil {
		return err
	}
	defer release()
	echoed, err := result.Value()
	if err != nil {
		return err
	}
	seen, err := readShape(echoed)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(seen, value) {
		return fmt.Errorf("the shape: expected %+v and saw %+v", value, seen)
	}
	return nil
}

type shape struct {
	Name    string
	Arm     conformance.Shape_Which
	Numbers [2]float64 // A radius, or two sides.
	Points  []point
	Width   uint16
	Colour  conformance.Colour
}

func (s shape) write(to conformance.Shape) error {
	to.Border().SetWidth(s.Width)
	to.Border().SetColour(s.Colour)
	switch s.Arm {
	case conformance.Shape_Which_circle:
		to.SetCircle(s.Numbers[0])
	case conformance.Shape_Which_rectangle:
		to.SetRectangle()
		to.Rectangle().SetWidth(s.Numbers[0])
		to.Rectangle().SetHeight(s.Numbers[1])
	case conformance.Shape_Which_polygon:
		points, err := to.NewPolygon(int32(len(s.Points)))
		if err != nil {
			return err
		}
		writePoints(s.Points, points)
	case conformance.Shape_Which_nothing:
		to.SetNothing()
	}
	return to.SetName(s.Name)
}

func readShape(from conformance.Shape) (s shape, err error) {
	s = shape{Arm: from.Which(), Width: from.Border().Width(), Colour: from.Border().Colour()}
	switch s.Arm {
	case conformance.Shape_Which_circle:
		s.Numbers[0] = from.Circle()
	case conformance.Shape_Which_rectangle:
		s.Numbers = [2]float64{from.Rectangle().Width(), from.Rectangle().Height()}
	case conformance.Shape_Which_polygon:
		points, err := from.Polygon()
		if err != nil {
			return s, err
		}
		s.Points = readPoints(points)
	}
	s.Name, err = from.Name()
	return s, err
}

func defaults(ctx context.Context, service server) error {
	result, release, err := shipmate.Call(ctx, service.Defaults, nil)
	if err != nil {
		return err
	}
	defer release()
	value, err := result.Value()
	if err != nil {
		return err
	}
	word, errWord := value.Word()
	bytes, errBytes := value.Bytes()
	primes, errPrimes := value.Primes()
	at, errPoint := value.Point()
	if err := errors.Join(errWord, errBytes, errPrimes, errPoint); err != nil {
		return err
	}
	return errors.Join(
		is("flag", value.Flag(), true),
		is("number", value.Number(), -123),
		is("ratio", value.Ratio(), 0.5),
		is("word", word, "shipmate"),
		isSame("bytes", bytes, []byte{1, 2, 3}),
		is("colour", value.Colour(), conformance.Colour_blue),
		isSame("primes", all(primes), []uint16{2, 3, 5, 7}),
		is("point", point{at.X(), at.Y()}, point{3, -4}),
	)
}
