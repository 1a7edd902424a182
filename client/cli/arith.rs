//! `shipmate arith`: one call of the service `arith`.

use anyhow::bail;
use clap::{Args, ValueEnum};
use shipmate::schema::arith_capnp::{ArithError, arith, division, product};
use shipmate::{Address, RequestExt};

use crate::context::Context;
use crate::output::Output;

/// Multiply or divide two integers at a server
///
/// Prints the product, or the quotient and the remainder. The quotient is rounded toward zero. The
/// address may be a server's front door or a listener for `arith` alone.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate arith multiply 6 7 --at unix:/tmp/ship.sock     prints 42
  shipmate arith divide -22 7 --at tcp:127.0.0.1:7700      prints -3 -1")]
pub(crate) struct Arith {
    /// What to do
    operation: Operation,

    /// A 64-bit integer
    #[arg(allow_negative_numbers = true)]
    a: i64,

    /// A 64-bit integer
    #[arg(allow_negative_numbers = true)]
    b: i64,

    /// Where the server listens
    #[arg(long, value_name = "ADDRESS")]
    at: Address,
}

#[derive(Clone, Copy, ValueEnum)]
enum Operation {
    Multiply,
    Divide,
}

impl Arith {
    pub(crate) async fn run(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let connection = context.connect(&self.at).await?;
        let result =
            context.with_service(&connection, "arith", async |arith: arith::Client| self.call(context, &arith).await);
        let text = result.await?;
        connection.close().await;
        output.line(text).await
    }

    async fn call(&self, context: &Context, arith: &arith::Client) -> anyhow::Result<String> {
        let &Arith { a, b, .. } = self;
        let (result, sign) = match self.operation {
            Operation::Multiply => (multiply(context, arith, a, b).await?.map(|product| product.to_string()), '*'),
            Operation::Divide => (divide(context, arith, a, b).await?.map(|(q, r)| format!("{q} {r}")), '/'),
        };
        match result {
            Ok(text) => Ok(text),
            Err(ArithError::DivideByZero) => bail!("{a} {sign} {b}: division by zero"),
            Err(ArithError::Overflow) => bail!("{a} {sign} {b}: overflow, the result does not fit into 64 bits"),
        }
    }
}

/// The product, or why there is none.
pub(crate) async fn multiply(
    context: &Context,
    arith: &arith::Client,
    a: i64,
    b: i64,
) -> shipmate::Result<Result<i64, ArithError>> {
    let mut request = arith.multiply_request();
    request.get().set_a(a);
    request.get().set_b(b);
    let response = request.within(context.timeout).await?;
    Ok(match response.get()?.get_product()?.which()? {
        product::Value(value) => Ok(value),
        product::Error(error) => Err(error?),
    })
}

/// Quotient and remainder, or why there are none.
pub(crate) async fn divide(
    context: &Context,
    arith: &arith::Client,
    a: i64,
    b: i64,
) -> shipmate::Result<Result<(i64, i64), ArithError>> {
    let mut request = arith.divide_request();
    request.get().set_a(a);
    request.get().set_b(b);
    let response = request.within(context.timeout).await?;
    Ok(match response.get()?.get_division()?.which()? {
        division::Value(value) => Ok((value.get_quotient(), value.get_remainder())),
        division::Error(error) => Err(error?),
    })
}
