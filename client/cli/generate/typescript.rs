//! TypeScript: a module for each schema, by the generator of the TypeScript package, which is a program for Node.

use std::path::Path;

use anyhow::Context;
use tokio::process::Command;

use super::tool::{on_path, output, upwards};
use super::{Job, Outcome};

const GENERATOR: &str = "shipmate-generate";

pub(super) async fn generate(job: &Job<'_>) -> anyhow::Result<Outcome> {
    let module = job.schemas.own.first().map(|schema| schema.name.as_str()).unwrap_or_default();
    let usage = format!("import … from \"{}/{module}.js\"", job.place.display());
    let installed = Path::new("node_modules/.bin").join(GENERATOR);
    let installed = installed.to_string_lossy();
    let here = Path::new(".");
    let found = upwards(job.place, &installed).or_else(|| upwards(here, &installed)).or_else(|| on_path(GENERATOR));
    let Some(generator) = found else {
        let to_do = "the generator for TypeScript is not found. Run `npm install shipmate typescript` in your project, \
                    which is around DIR, and run this again";
        return Ok(Outcome::Nothing(to_do.to_owned()));
    };
    let mut command = Command::new(generator);
    command.args(job.files()).arg("--out").arg(job.work).current_dir(job.side_by_side);
    output(command, &[]).await.context("run the generator for TypeScript, with `node`")?;
    Ok(Outcome::Whole(usage))
}
