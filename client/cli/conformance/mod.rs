//! `shipmate conformance`: every feature that a client in any language must have, tried at a real server.
//!
//! The steps are those of client/README.md, in its order, and the same in every language. This is the one
//! to read first: a file for each group of steps, and in it a function for each step.

mod capabilities;
mod evolution;
mod failures;
mod restart;
mod sizes;
mod streams;
mod values;

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use futures::future::LocalBoxFuture;
use shipmate::Address;
use shipmate::schema::conformance_capnp::conformance;
use tokio::time::timeout;

use crate::context::{Context, Usage};
use crate::output::Output;

/// Try everything that a client must be able to do
///
/// Prints a line for each step: `ok STEP`, or `FAILED STEP: what was expected and what was seen`. The
/// exit code is 0 when no step failed, 1 when one did, and 2 when there was no connection.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmated --listen unix:/tmp/c.sock=conformance &
  shipmate conformance unix:/tmp/c.sock")]
pub(crate) struct Conformance {
    /// Where the service `conformance` listens
    address: Address,

    /// Say `restart now` in the end, wait for a line on standard input, which says that the server was
    /// killed and started again, and see how that went
    #[arg(long)]
    restart: bool,
}

struct Step {
    name: &'static str,
    take: for<'a> fn(&'a conformance::Client) -> LocalBoxFuture<'a, anyhow::Result<()>>,
}

static STEPS: &[Step] = &[
    Step { name: "primitives", take: |server| Box::pin(values::primitives(server)) },
    Step { name: "text", take: |server| Box::pin(values::text(server)) },
    Step { name: "data", take: |server| Box::pin(values::data(server)) },
    Step { name: "lists", take: |server| Box::pin(values::lists(server)) },
    Step { name: "unions", take: |server| Box::pin(values::unions(server)) },
    Step { name: "defaults", take: |server| Box::pin(values::defaults(server)) },
    Step { name: "future-enum", take: |server| Box::pin(evolution::future_enum(server)) },
    Step { name: "evolution", take: |server| Box::pin(evolution::evolution(server)) },
    Step { name: "multi-segment", take: |server| Box::pin(sizes::multi_segment(server)) },
    Step { name: "large", take: |server| Box::pin(sizes::large(server)) },
    Step { name: "capability", take: |server| Box::pin(capabilities::capability(server)) },
    Step { name: "identity", take: |server| Box::pin(capabilities::identity(server)) },
    Step { name: "callback", take: |server| Box::pin(capabilities::callback(server)) },
    Step { name: "reentrant", take: |server| Box::pin(capabilities::reentrant(server)) },
    Step { name: "pipelining", take: |server| Box::pin(capabilities::pipelining(server)) },
    Step { name: "out-of-order", take: |server| Box::pin(capabilities::out_of_order(server)) },
    Step { name: "stream-up", take: |server| Box::pin(streams::up(server)) },
    Step { name: "stream-down", take: |server| Box::pin(streams::down(server)) },
    Step { name: "cancel", take: |server| Box::pin(failures::cancel(server)) },
    Step { name: "typed-error", take: |server| Box::pin(failures::typed_error(server)) },
    Step { name: "error-kinds", take: |server| Box::pin(failures::error_kinds(server)) },
    Step { name: "deadline", take: |server| Box::pin(failures::deadline(server)) },
    Step { name: "many", take: |server| Box::pin(failures::many(server)) },
];

/// The longest that a step may take: a limit for hanging, not for being slow.
const STEP_MAX: Duration = Duration::from_secs(60);

impl Conformance {
    pub(crate) async fn run(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        // As with a wrong command line, nothing was tried.
        let connection = context.connect(&self.address).await.map_err(|error| Usage(error.to_string()))?;
        let server = connection.bootstrap();
        let mut failed = 0;
        for step in STEPS {
            failed += report(output, step.name, (step.take)(&server)).await?;
        }
        connection.close().await;
        let mut steps = STEPS.len();
        if self.restart {
            let prompt = Output::stdout();
            failed += report(output, "restart", restart::restart(&self.address, prompt)).await?;
            steps += 1;
        }
        ensure!(failed == 0, "{failed} of {steps} steps failed");
        Ok(())
    }
}

/// Takes a step and says how it went. Gives how many failed: one or none.
async fn report(
    output: &mut Output,
    name: &str,
    step: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<usize> {
    let result = match timeout(STEP_MAX, step).await {
        Ok(result) => result.map_err(|error| format!("{error:#}").replace('\n', " ")),
        Err(_) => Err(format!("not done within {STEP_MAX:?}")),
    };
    match result {
        Ok(()) => output.line(format!("ok {name}")).await.map(|()| 0),
        Err(wrong) => output.line(format!("FAILED {name}: {wrong}")).await.map(|()| 1),
    }
}

fn is<T: PartialEq + Debug>(what: &str, seen: T, expected: T) -> anyhow::Result<()> {
    ensure!(seen == expected, "{what}: expected {expected:?} and saw {seen:?}");
    Ok(())
}

/// The same for values that are too long to be shown.
fn is_same<T: PartialEq + Debug>(what: &str, seen: &[T], expected: &[T]) -> anyhow::Result<()> {
    is(&format!("the length of {what}"), seen.len(), expected.len())?;
    match seen.iter().zip(expected).position(|(seen, expected)| seen != expected) {
        Some(index) => is(&format!("element {index} of {what}"), &seen[index], &expected[index]),
        None => Ok(()),
    }
}

/// What should have failed, and the error that it should have failed with.
fn is_error<T>(what: &str, seen: shipmate::Result<T>, expected: fn(&shipmate::Error) -> bool) -> anyhow::Result<()> {
    match seen {
        Err(error) if expected(&error) => Ok(()),
        Err(error) => bail!("{what}: another error was expected, and this was seen: {error:?}"),
        Ok(_) => bail!("{what}: an error was expected, and it succeeded"),
    }
}

#[cfg(test)]
mod tests {
    use super::STEPS;

    #[test]
    fn the_steps_are_those_that_every_language_takes() {
        let contract = include_str!("../../README.md");
        let table = contract.split_once("| step |").unwrap().1.split_once("\n## ").unwrap().0;
        let names = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let ours = STEPS.iter().map(|step| step.name).chain(["restart"]);
        assert!(names.map(|(name, _)| name).eq(ours));
    }
}
