//! Schemas that grow: programs of different age understand each other.

use capnp::NotInSchema;
use shipmate::schema::conformance_capnp::{Colour, conformance, newer_record, older_record, painted};

use super::is;

pub(super) async fn future_enum(server: &conformance::Client) -> anyhow::Result<()> {
    is("number 1", paint(server, 1).await?, Ok(Colour::Green))?;
    is("number 999", paint(server, 999).await?, Err(NotInSchema(999)))
}

async fn paint(server: &conformance::Client, colour: u16) -> anyhow::Result<Result<Colour, NotInSchema>> {
    let mut request = server.paint_request();
    request.get().set_colour(colour);
    let response = request.send().promise.await?;
    let painted: painted::Reader<'_> = response.get()?.get_painted().get_as()?;
    Ok(painted.get_colour())
}

pub(super) async fn evolution(server: &conformance::Client) -> anyhow::Result<()> {
    // Through a program that knows less than we do, nothing is lost.
    let sent = Record { name: "keel".into(), value: -5, unit: "fathom".into(), weight: 2.25, tags: vec!["oak".into()] };
    let mut request = server.as_older_request();
    sent.write(request.get().init_record().init_as())?;
    let response = request.send().promise.await?;
    let response = response.get()?;
    is("the name, read as an older record", response.get_name()?.to_str()?, "keel")?;
    is("the newer record", Record::read(response.get_record().get_as()?)?, sent)?;

    // From a program that knows less than the server, what is missing has its default.
    let mut request = server.as_newer_request();
    let mut older: older_record::Builder<'_> = request.get().init_record().init_as();
    older.set_name("mast");
    older.set_value(7);
    let response = request.send().promise.await?;
    let expected = Record { name: "mast".into(), value: 7, unit: "metre".into(), weight: 1.5, tags: vec![] };
    is("the older record", Record::read(response.get()?.get_record()?)?, expected)
}

#[derive(Debug, PartialEq)]
struct Record {
    name: String,
    value: i64,
    unit: String,
    weight: f64,
    tags: Vec<String>,
}

impl Record {
    fn read(from: newer_record::Reader<'_>) -> Result<Self, capnp::Error> {
        Ok(Record {
            name: from.get_name()?.to_string()?,
            value: from.get_value(),
            unit: from.get_unit()?.to_string()?,
            weight: from.get_weight(),
            tags: from.get_tags()?.iter().map(|tag| Ok(tag?.to_string()?)).collect::<Result<_, capnp::Error>>()?,
        })
    }

    fn write(&self, mut to: newer_record::Builder<'_>) -> Result<(), capnp::Error> {
        to.set_name(&self.name);
        to.set_value(self.value);
        to.set_unit(&self.unit);
        to.set_weight(self.weight);
        to.set_tags(&self.tags[..])
    }
}
