//! Java: a class for each schema, by the generator of the Java package, which is a program in Java.

use std::env;
use std::path::PathBuf;

use anyhow::Context;
use tokio::process::Command;

use super::tool::output;
use super::{Job, Outcome, check_name};

/// Names the generator's jar.
const JAR: &str = "SHIPMATE_JAVA_GENERATOR";

pub(super) async fn generate(job: &Job<'_>) -> anyhow::Result<Outcome> {
    let package = &job.options.java_package;
    check_name("java-package", package, ".")?;
    let usage = format!("import {package}.*, with {} as a source folder", job.place.display());
    let Some(jar) = generator().filter(|jar| jar.is_file()) else {
        let to_do = format!(
            "the generator for Java is not found. Run `mvn install` in client/java of Shipmate, or name \
             shipmate-generator.jar in the variable {JAR}, and run this again"
        );
        return Ok(Outcome::Nothing(to_do));
    };
    let request = job.capnp.request(job.side_by_side, &job.files()).await?;
    let mut command = Command::new("java");
    command.arg("-jar").arg(jar).args(["--package", package, "--out"]).arg(job.work).arg("-");
    output(command, &request).await.context("run the generator for Java, with `java`")?;
    Ok(Outcome::Whole(usage))
}

/// Where the variable says, or else where Maven puts it.
fn generator() -> Option<PathBuf> {
    if let Some(jar) = env::var_os(JAR) {
        return Some(jar.into());
    }
    let version = env!("CARGO_PKG_VERSION");
    let home = PathBuf::from(env::var_os("HOME")?);
    Some(
        home.join(format!(".m2/repository/org/shipmate/shipmate-generator/{version}/shipmate-generator-{version}.jar")),
    )
}
