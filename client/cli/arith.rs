//! `shipmate arith`.

use std::io::Write;
use std::time::Duration;

use anyhow::{Result, bail};
use shipmate::schema::arith_capnp::{ArithError, arith, division, product};
use shipmate::{Address, RequestExt};

use crate::service;

/// Multiply or divide two 64-bit integers at a server.
#[derive(clap::Args)]
pub(crate) struct Arith {
    operation: Operation,
    #[arg(allow_negative_numbers = true)]
    a: i64,
    #[arg(allow_negative_numbers = true)]
    b: i64,
    /// The server: its front door, or a listener for `arith` alone.
    #[arg(long, value_name = "ADDRESS")]
    at: Address,
}

#[derive(Clone, clap::ValueEnum)]
enum Operation {
    /// Prints the product.
    Multiply,
    /// Prints the quotient, rounded toward zero, and the remainder.
    Divide,
}

impl Arith {
    pub(crate) async fn run(self, timeout: Duration) -> Result<()> {
        let connection = service::connect(&self.at, timeout).await?;
        let arith: arith::Client = service::find(&connection, "arith", timeout).await?;
        let answer = match self.operation {
            Operation::Multiply => {
                let mut request = arith.multiply_request();
                request.get().set_a(self.a);
                request.get().set_b(self.b);
                let response = request.within(timeout).await?;
                match response.get()?.get_product()?.which()? {
                    product::Value(value) => value.to_string(),
                    product::Error(error) => bail!(explain(error?)),
                }
            }
            Operation::Divide => {
                let mut request = arith.divide_request();
                request.get().set_a(self.a);
                request.get().set_b(self.b);
                let response = request.within(timeout).await?;
                match response.get()?.get_division()?.which()? {
                    division::Value(value) => format!("{} {}", value.get_quotient(), value.get_remainder()),
                    division::Error(error) => bail!(explain(error?)),
                }
            }
        };
        connection.close().await;
        Ok(writeln!(std::io::stdout(), "{answer}")?)
    }
}

fn explain(error: ArithError) -> &'static str {
    match error {
        ArithError::DivideByZero => "division by zero",
        ArithError::Overflow => "overflow: the result does not fit into 64 bits",
    }
}
