//! `shipmate calc`: an expression, worked out by the service `calculator`.

mod parser;
mod remote;

use clap::Args;
use shipmate::Address;
use shipmate::schema::calculator_capnp::calculator;

use self::parser::{Definition, Expression};
use self::remote::Program;
use crate::context::{Context, Usage};
use crate::output::Output;

/// Work out an expression at a server
///
/// There are + - * /, parentheses, numbers such as 2, .5 and 1.5e-3, functions that --define defines, and
/// functions that this program brings: abs(x), max(a, b), min(a, b), pow(a, b), sqrt(x). The server calls
/// those back while it works the expression out. The address may be a server's front door or a listener
/// for `calculator` alone.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate calc unix:/tmp/ship.sock '2 * (3 + 4) / 7'
  shipmate calc unix:/tmp/ship.sock 'pow(2, 10) - 1'
  shipmate calc unix:/tmp/ship.sock --define 'f(x, y) = x * y + 1' --define 'g(x) = f(x, x)' 'g(5)'")]
pub(crate) struct Calc {
    /// Where the server listens
    address: Address,

    /// What to work out
    #[arg(allow_hyphen_values = true, value_parser = Expression::parse)]
    expression: Expression,

    /// Define a function; may be repeated, and a later one may call the earlier ones
    #[arg(short, long, value_name = "FUNCTION", value_parser = Definition::parse)]
    define: Vec<Definition>,
}

impl Calc {
    pub(crate) async fn run(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let program = Program::new(self.define, self.expression).map_err(Usage)?;
        let connection = context.connect(&self.address).await?;
        let run = async |calculator: calculator::Client| Ok(program.run(context, &calculator).await?);
        let value = context.with_service(&connection, "calculator", run).await?;
        connection.close().await;
        output.line(show(value)).await
    }
}

/// Works out an expression that uses none but our own functions.
pub(crate) async fn evaluate(
    context: &Context,
    calculator: &calculator::Client,
    expression: &str,
) -> anyhow::Result<f64> {
    let program = Program::new(Vec::new(), Expression::parse(expression).map_err(Usage)?).map_err(Usage)?;
    Ok(program.run(context, calculator).await?)
}

/// The shortest text that reads back as the same number.
fn show(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
