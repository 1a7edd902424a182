//! Rust: a module for each schema, and one around them.

use anyhow::Context;

use super::schemas::write;
use super::{Job, Outcome, check_name};

pub(super) async fn generate(job: &Job<'_>) -> anyhow::Result<Outcome> {
    let module = &job.options.rust_module;
    check_name("rust-module", module, "::")?;
    let request = job.capnp.request(job.side_by_side, &job.files()).await?;
    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(job.work)
        .default_parent_module(module.split("::").map(str::to_owned).collect())
        .run(request.as_slice())
        .context("generate")?;

    // capnpc's own way to name a file.
    let modules = job.schemas.named(|name| format!("{}_capnp", name.replace('-', "_")))?;
    let mut text = format!(
        "//! Made by `shipmate generate` from {}. Do not edit it.\n//!\n\
         //! Generated code refers to this module as `crate::{module}`.\n\
         #![allow(missing_docs, unreachable_pub, unused, clippy::all)]\n\n",
        job.schemas.list()
    );
    for (name, _) in &modules {
        text += &format!("pub mod {name};\n");
    }
    write(&job.work.join("mod.rs"), text)?;
    let path = job.place.join("mod.rs");
    Ok(Outcome::Whole(format!("crate::{module} is to be {}, by #[path = …]", path.display())))
}
