//! C++: a header and a source file for each schema, by Cap'n Proto's own generator.

use std::ffi::OsString;

use super::{Job, Outcome};

pub(super) async fn generate(job: &Job<'_>) -> anyhow::Result<Outcome> {
    let mut output = OsString::from("-oc++:");
    output.push(job.work);
    job.capnp.compile(job.side_by_side, &[output], &job.files()).await?;
    let header = job.schemas.own.first().map(|schema| schema.file() + ".h").unwrap_or_default();
    Ok(Outcome::Whole(format!("#include <{header}> with -I {}", job.place.display())))
}
