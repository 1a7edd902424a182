//! Values of every type, which come back as they were sent.

use anyhow::ensure;
use shipmate::schema::conformance_capnp::{Colour, conformance, lists, point, primitives, shape};

use super::{is, is_same};

pub(super) async fn primitives(server: &conformance::Client) -> anyhow::Result<()> {
    is("values in between", echo(server, &Primitives::BETWEEN).await?, Primitives::BETWEEN)?;

    let response = server.extremes_request().send().promise.await?;
    let extremes = response.get()?;
    for (what, value, expected) in [
        ("the least", extremes.get_least()?, Primitives::LEAST),
        ("the greatest", extremes.get_greatest()?, Primitives::GREATEST),
    ] {
        is(what, Primitives::read(value), expected.clone())?;
        is(&format!("{what}, echoed"), echo(server, &expected).await?, expected)?;
    }

    let nan = Primitives { float32: f32::NAN, float64: f64::NAN, ..Primitives::BETWEEN };
    let echoed = echo(server, &nan).await?;
    ensure!(echoed.float32.is_nan(), "NaN of 32 bits: saw {}", echoed.float32);
    ensure!(echoed.float64.is_nan(), "NaN of 64 bits: saw {}", echoed.float64);
    Ok(())
}

async fn echo(server: &conformance::Client, value: &Primitives) -> anyhow::Result<Primitives> {
    let mut request = server.primitives_request();
    value.write(request.get().init_value());
    let response = request.send().promise.await?;
    Ok(Primitives::read(response.get()?.get_value()?))
}

#[derive(Clone, Debug, PartialEq)]
struct Primitives {
    bool: bool,
    int8: i8,
    int16: i16,
    int32: i32,
    int64: i64,
    uint8: u8,
    uint16: u16,
    uint32: u32,
    uint64: u64,
    float32: f32,
    float64: f64,
}

impl Primitives {
    const BETWEEN: Primitives = Primitives {
        bool: true,
        int8: -12,
        int16: -1234,
        int32: -123_456_789,
        int64: -1_234_567_890_123_456_789,
        uint8: 200,
        uint16: 54_321,
        uint32: 4_000_000_000,
        uint64: 12_345_678_901_234_567_890,
        float32: 1.5,
        float64: -1.25e-300,
    };

    const LEAST: Primitives = Primitives {
        bool: false,
        int8: i8::MIN,
        int16: i16::MIN,
        int32: i32::MIN,
        int64: i64::MIN,
        uint8: u8::MIN,
        uint16: u16::MIN,
        uint32: u32::MIN,
        uint64: u64::MIN,
        float32: f32::NEG_INFINITY,
        float64: f64::NEG_INFINITY,
    };

    const GREATEST: Primitives = Primitives {
        bool: true,
        int8: i8::MAX,
        int16: i16::MAX,
        int32: i32::MAX,
        int64: i64::MAX,
        uint8: u8::MAX,
        uint16: u16::MAX,
        uint32: u32::MAX,
        uint64: u64::MAX,
        float32: f32::INFINITY,
        float64: f64::INFINITY,
    };

    fn read(from: primitives::Reader<'_>) -> Self {
        Primitives {
            bool: from.get_bool(),
            int8: from.get_int8(),
            int16: from.get_int16(),
            int32: from.get_int32(),
            int64: from.get_int64(),
            uint8: from.get_uint8(),
            uint16: from.get_uint16(),
            uint32: from.get_uint32(),
            uint64: from.get_uint64(),
            float32: from.get_float32(),
            float64: from.get_float64(),
        }
    }

    fn write(&self, mut to: primitives::Builder<'_>) {
        to.set_bool(self.bool);
        to.set_int8(self.int8);
        to.set_int16(self.int16);
        to.set_int32(self.int32);
        to.set_int64(self.int64);
        to.set_uint8(self.uint8);
        to.set_uint16(self.uint16);
        to.set_uint32(self.uint32);
        to.set_uint64(self.uint64);
        to.set_float32(self.float32);
        to.set_float64(self.float64);
    }
}

pub(super) async fn text(server: &conformance::Client) -> anyhow::Result<()> {
    let every_plane = (0..=16).filter_map(|plane| char::from_u32((plane << 16) + 0x1041)).collect();
    for text in [
        String::new(),
        "Ahoy!".to_owned(),
        "naïve, Ωμέγα, 船, 🚢".to_owned(),
        every_plane,
        "before\0after".to_owned(),
        "x".repeat(1000),
        "船".repeat(33_333),
        "x".repeat(100_000),
    ] {
        let mut request = server.text_request();
        request.get().set_value(&text);
        let response = request.send().promise.await?;
        let echoed = response.get()?;
        is_same("a text", echoed.get_value()?.to_str()?.as_bytes(), text.as_bytes())?;
        is("its bytes", echoed.get_bytes() as usize, text.len())?;
    }
    Ok(())
}

pub(super) async fn data(server: &conformance::Client) -> anyhow::Result<()> {
    let long = (0..100_000_u32).map(|n| (n * 7 + 3) as u8).collect();
    for data in [vec![], (0..=255).collect(), long] {
        let mut request = server.data_request();
        request.get().set_value(&data);
        let response = request.send().promise.await?;
        let echoed = response.get()?;
        is_same("the data", echoed.get_value()?, &data)?;
        is("their sum", echoed.get_sum(), data.iter().map(|&byte| u32::from(byte)).sum())?;
    }
    Ok(())
}

pub(super) async fn lists(server: &conformance::Client) -> anyhow::Result<()> {
    let full = Lists {
        bools: vec![true, false, true, true, false, false, true, false, true],
        bytes: vec![0, 1, 127, 128, 255],
        longs: vec![i64::MIN, -1, 0, 1, i64::MAX],
        texts: ["", "one", "zwei", "三"].map(str::to_owned).to_vec(),
        grid: vec![vec![1], vec![], vec![2, -3, i32::MAX], vec![i32::MIN, 5]],
        points: vec![(1, 2), (-3, 4), (i32::MIN, i32::MAX)],
        colours: vec![Colour::Blue, Colour::Red, Colour::Green, Colour::Blue],
    };
    for value in [Lists::default(), full] {
        let mut request = server.lists_request();
        value.write(request.get().init_value())?;
        let response = request.send().promise.await?;
        is("the lists", Lists::read(response.get()?.get_value()?)?, value)?;
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq)]
struct Lists {
    bools: Vec<bool>,
    bytes: Vec<u8>,
    longs: Vec<i64>,
    texts: Vec<String>,
    grid: Vec<Vec<i32>>,
    points: Vec<(i32, i32)>,
    colours: Vec<Colour>,
}

impl Lists {
    fn read(from: lists::Reader<'_>) -> Result<Self, capnp::Error> {
        let texts = from.get_texts()?.iter().map(|text| Ok(text?.to_string()?));
        let colours = from.get_colours()?.iter().map(|colour| Ok(colour?));
        Ok(Lists {
            bools: from.get_bools()?.iter().collect(),
            bytes: from.get_bytes()?.iter().collect(),
            longs: from.get_longs()?.iter().collect(),
            texts: texts.collect::<Result<_, capnp::Error>>()?,
            grid: from.get_grid()?.iter().map(|row| Ok(row?.iter().collect())).collect::<Result<_, capnp::Error>>()?,
            points: read_points(from.get_points()?),
            colours: colours.collect::<Result<_, capnp::Error>>()?,
        })
    }

    fn write(&self, mut to: lists::Builder<'_>) -> Result<(), capnp::Error> {
        to.set_bools(&self.bools[..])?;
        to.set_bytes(&self.bytes[..])?;
        to.set_longs(&self.longs[..])?;
        to.set_texts(&self.texts[..])?;
        let mut grid = to.reborrow().init_grid(self.grid.len() as u32);
        for (index, row) in (0..).zip(&self.grid) {
            let mut to = grid.reborrow().init(index, row.len() as u32);
            for (index, &number) in (0..).zip(row) {
                to.set(index, number);
            }
        }
        write_points(&self.points, to.reborrow().init_points(self.points.len() as u32));
        to.set_colours(&self.colours[..])
    }
}

/// Each arm of a union, beside a group that has nothing to do with it.
pub(super) async fn unions(server: &conformance::Client) -> anyhow::Result<()> {
    for form in
        [Form::Circle(2.5), Form::Rectangle(3.0, 0.25), Form::Polygon(vec![(0, 0), (7, 0), (0, -7)]), Form::Nothing]
    {
        let shape = Shape { name: format!("a {form:?}"), form, border: (7, Colour::Green) };
        let mut request = server.shape_request();
        shape.write(request.get().init_value());
        let response = request.send().promise.await?;
        is("the shape", Shape::read(response.get()?.get_value()?)?, shape)?;
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Shape {
    name: String,
    form: Form,
    border: (u16, Colour),
}

#[derive(Debug, PartialEq)]
enum Form {
    Circle(f64),
    Rectangle(f64, f64),
    Polygon(Vec<(i32, i32)>),
    Nothing,
}

impl Shape {
    fn read(from: shape::Reader<'_>) -> Result<Self, capnp::Error> {
        let form = match from.which()? {
            shape::Circle(radius) => Form::Circle(radius),
            shape::Rectangle(sides) => Form::Rectangle(sides.get_width(), sides.get_height()),
            shape::Polygon(points) => Form::Polygon(read_points(points?)),
            shape::Nothing(()) => Form::Nothing,
        };
        let border = from.get_border();
        Ok(Shape { name: from.get_name()?.to_string()?, form, border: (border.get_width(), border.get_colour()?) })
    }

    fn write(&self, mut to: shape::Builder<'_>) {
        to.set_name(&self.name);
        match &self.form {
            &Form::Circle(radius) => to.set_circle(radius),
            &Form::Rectangle(width, height) => {
                let mut sides = to.reborrow().init_rectangle();
                sides.set_width(width);
                sides.set_height(height);
            }
            Form::Polygon(points) => write_points(points, to.reborrow().init_polygon(points.len() as u32)),
            Form::Nothing => to.set_nothing(()),
        }
        let mut border = to.init_border();
        border.set_width(self.border.0);
        border.set_colour(self.border.1);
    }
}

fn read_points(from: capnp::struct_list::Reader<'_, point::Owned>) -> Vec<(i32, i32)> {
    from.iter().map(|point| (point.get_x(), point.get_y())).collect()
}

fn write_points(points: &[(i32, i32)], mut to: capnp::struct_list::Builder<'_, point::Owned>) {
    for (index, &(x, y)) in (0..).zip(points) {
        let mut point = to.reborrow().get(index);
        point.set_x(x);
        point.set_y(y);
    }
}

pub(super) async fn defaults(server: &conformance::Client) -> anyhow::Result<()> {
    let response = server.defaults_request().send().promise.await?;
    let value = response.get()?.get_value()?;
    is("flag", value.get_flag(), true)?;
    is("number", value.get_number(), -123)?;
    is("ratio", value.get_ratio(), 0.5)?;
    is("word", value.get_word()?.to_str()?, "shipmate")?;
    is("bytes", value.get_bytes()?, &[1, 2, 3])?;
    is("colour", value.get_colour()?, Colour::Blue)?;
    is("primes", value.get_primes()?.iter().collect(), vec![2, 3, 5, 7])?;
    let point = value.get_point()?;
    is("point", (point.get_x(), point.get_y()), (3, -4))
}
