//! Values, taken apart and built again.

use capnp::introspect::{Introspect, TypeVariant};
use capnp::{any_pointer, dynamic_struct, dynamic_value};
use shipmate::schema::conformance_capnp::{
    Colour, conformance::as_older_results, lists, newer_record, older_record, painted, point, primitives, shape,
};

pub(super) fn primitives(from: primitives::Reader<'_>, mut to: primitives::Builder<'_>) {
    to.set_void(());
    to.set_bool(from.get_bool());
    to.set_int8(from.get_int8());
    to.set_int16(from.get_int16());
    to.set_int32(from.get_int32());
    to.set_int64(from.get_int64());
    to.set_uint8(from.get_uint8());
    to.set_uint16(from.get_uint16());
    to.set_uint32(from.get_uint32());
    to.set_uint64(from.get_uint64());
    to.set_float32(from.get_float32());
    to.set_float64(from.get_float64());
}

pub(super) fn least(mut to: primitives::Builder<'_>) {
    to.set_bool(false);
    to.set_int8(i8::MIN);
    to.set_int16(i16::MIN);
    to.set_int32(i32::MIN);
    to.set_int64(i64::MIN);
    to.set_uint8(u8::MIN);
    to.set_uint16(u16::MIN);
    to.set_uint32(u32::MIN);
    to.set_uint64(u64::MIN);
    to.set_float32(f32::NEG_INFINITY);
    to.set_float64(f64::NEG_INFINITY);
}

pub(super) fn greatest(mut to: primitives::Builder<'_>) {
    to.set_bool(true);
    to.set_int8(i8::MAX);
    to.set_int16(i16::MAX);
    to.set_int32(i32::MAX);
    to.set_int64(i64::MAX);
    to.set_uint8(u8::MAX);
    to.set_uint16(u16::MAX);
    to.set_uint32(u32::MAX);
    to.set_uint64(u64::MAX);
    to.set_float32(f32::INFINITY);
    to.set_float64(f64::INFINITY);
}

/// Of all bytes, modulo 2^32.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte.into()))
}

pub(super) fn lists(from: lists::Reader<'_>, mut to: lists::Builder<'_>) -> Result<(), capnp::Error> {
    let bools = from.get_bools()?;
    let mut copies = to.reborrow().init_bools(bools.len());
    for (index, value) in (0..).zip(bools) {
        copies.set(index, value);
    }
    let bytes = from.get_bytes()?;
    let mut copies = to.reborrow().init_bytes(bytes.len());
    for (index, value) in (0..).zip(bytes) {
        copies.set(index, value);
    }
    let longs = from.get_longs()?;
    let mut copies = to.reborrow().init_longs(longs.len());
    for (index, value) in (0..).zip(longs) {
        copies.set(index, value);
    }
    let texts = from.get_texts()?;
    let mut copies = to.reborrow().init_texts(texts.len());
    for (index, value) in (0..).zip(texts) {
        copies.set(index, value?.to_str()?);
    }
    let grid = from.get_grid()?;
    let mut rows = to.reborrow().init_grid(grid.len());
    for (index, row) in (0..).zip(grid) {
        let row = row?;
        let mut copies = rows.reborrow().init(index, row.len());
        for (index, value) in (0..).zip(row) {
            copies.set(index, value);
        }
    }
    let points = from.get_points()?;
    copy_points(points, to.reborrow().init_points(points.len()));
    let colours = from.get_colours()?;
    let mut copies = to.init_colours(colours.len());
    for (index, colour) in (0..).zip(colours) {
        copies.set(index, colour?);
    }
    Ok(())
}

pub(super) fn shape(from: shape::Reader<'_>, mut to: shape::Builder<'_>) -> Result<(), capnp::Error> {
    to.set_name(from.get_name()?.to_str()?);
    match from.which()? {
        shape::Circle(radius) => to.set_circle(radius),
        shape::Rectangle(from) => {
            let mut to = to.reborrow().init_rectangle();
            to.set_width(from.get_width());
            to.set_height(from.get_height());
        }
        shape::Polygon(points) => {
            let points = points?;
            copy_points(points, to.reborrow().init_polygon(points.len()));
        }
        shape::Nothing(()) => to.set_nothing(()),
    }
    let (from, mut to) = (from.get_border(), to.init_border());
    to.set_width(from.get_width());
    to.set_colour(from.get_colour()?);
    Ok(())
}

/// Paints with a colour that this program need not know, as one with a newer schema would.
pub(super) fn paint(colour: u16, to: any_pointer::Builder<'_>) -> Result<(), capnp::Error> {
    let TypeVariant::Enum(colours) = Colour::introspect().which() else { unreachable!("Colour is an enum") };
    let colour = dynamic_value::Enum::new(colour, colours.into());
    let painted = dynamic_value::Builder::from(to.init_as::<painted::Builder<'_>>());
    painted.downcast::<dynamic_struct::Builder<'_>>().set_named("colour", colour.into())
}

/// What a program does that knows the older record alone.
pub(super) fn as_older(
    record: any_pointer::Reader<'_>,
    mut results: as_older_results::Builder<'_>,
) -> Result<(), capnp::Error> {
    let record: older_record::Reader<'_> = record.get_as()?;
    results.set_name(record.get_name()?.to_str()?);
    results.init_record().set_as(record)
}

pub(super) fn newer_record(
    from: newer_record::Reader<'_>,
    mut to: newer_record::Builder<'_>,
) -> Result<(), capnp::Error> {
    to.set_name(from.get_name()?.to_str()?);
    to.set_value(from.get_value());
    to.set_unit(from.get_unit()?.to_str()?);
    to.set_weight(from.get_weight());
    let tags = from.get_tags()?;
    let mut copies = to.init_tags(tags.len());
    for (index, tag) in (0..).zip(tags) {
        copies.set(index, tag?.to_str()?);
    }
    Ok(())
}

fn copy_points(
    from: capnp::struct_list::Reader<'_, point::Owned>,
    mut to: capnp::struct_list::Builder<'_, point::Owned>,
) {
    for (index, from) in (0..).zip(from) {
        let mut to = to.reborrow().get(index);
        to.set_x(from.get_x());
        to.set_y(from.get_y());
    }
}
