//! The steps that are calls.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use shipmate::RequestExt;
use shipmate::schema::arith_capnp::{ArithError, arith, division, product};
use shipmate::schema::calculator_capnp::calculator;
use shipmate::schema::shipmate_capnp::shipmate as front;

use super::Place;
use crate::calc::Power;

/// A service of the front door, without waiting for it.
fn get<C: capnp::capability::FromClientHook>(place: &Place, name: &str) -> C {
    let door: front::Client = place.connection.bootstrap();
    let mut request = door.get_request();
    request.get().set_name(name);
    C::new(request.send().pipeline.get_service().as_cap())
}

async fn multiply(arith: &arith::Client, place: &Place, a: i64, b: i64) -> Result<i64> {
    let mut request = arith.multiply_request();
    request.get().set_a(a);
    request.get().set_b(b);
    let response = request.within(place.timeout).await?;
    match response.get()?.get_product()?.which()? {
        product::Value(value) => Ok(value),
        product::Error(error) => anyhow::bail!("{a} * {b}: {:?}", error?),
    }
}

pub(crate) async fn synchronous(place: &Place) -> Result<()> {
    let product = multiply(&get(place, "arith"), place, 7, 8).await?;
    ensure!(product == 56, "7 * 8 is not {product}");
    Ok(())
}

/// The call is on its way while this side counts.
pub(crate) async fn asynchronous(place: &Place) -> Result<()> {
    let arith = get(place, "arith");
    let counted = Cell::new(0u64);
    let count = async {
        loop {
            counted.set(counted.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let product = tokio::select! {
        product = multiply(&arith, place, 6, 7) => product?,
        () = count => unreachable!("it counts for ever"),
    };
    ensure!(product == 42, "6 * 7 is not {product}");
    ensure!(counted.get() > 0, "nothing else was done meanwhile");
    Ok(())
}

pub(crate) async fn divide_by_zero(place: &Place) -> Result<()> {
    let arith: arith::Client = get(place, "arith");
    let mut request = arith.divide_request();
    request.get().set_a(1);
    let response = request.within(place.timeout).await?;
    let division::Error(error) = response.get()?.get_division()?.which()? else {
        anyhow::bail!("1 / 0 has a value");
    };
    ensure!(error? == ArithError::DivideByZero, "another error");
    Ok(())
}

pub(crate) async fn many_in_flight(place: &Place) -> Result<()> {
    let arith = get(place, "arith");
    let products = try_join_all((0..1000).map(|number| multiply(&arith, place, number, number))).await?;
    ensure!(products.into_iter().eq((0..1000).map(|number| number * number)), "a product is wrong");
    Ok(())
}

/// Front door, calculator, operator, evaluation and reading its value: five calls, each on the result of
/// one before that has not returned.
pub(crate) async fn pipelined(place: &Place) -> Result<()> {
    let calculator: calculator::Client = get(place, "calculator");
    let mut operator = calculator.get_operator_request();
    operator.get().set_op(calculator::Operator::Multiply);
    let value = call(&calculator, operator.send().pipeline.get_func(), [6.0, 7.0], place).await?;
    ensure!(value == 42.0, "6 * 7 is not {value}");
    Ok(())
}

/// The server calls a function of this process while it evaluates.
pub(crate) async fn callback(place: &Place) -> Result<()> {
    let called = Rc::new(Cell::new(false));
    let function = capnp_rpc::new_client(Power(called.clone()));
    let value = call(&get(place, "calculator"), function, [2.0, 10.0], place).await?;
    ensure!(value == 1024.0, "2 to the 10th is not {value}");
    ensure!(called.get(), "the function was not called here");
    Ok(())
}

async fn call(
    calculator: &calculator::Client,
    function: calculator::function::Client,
    arguments: [f64; 2],
    place: &Place,
) -> Result<f64> {
    let mut request = calculator.evaluate_request();
    let mut call = request.get().init_expression().init_call();
    call.set_function(function);
    let mut params = call.init_params(2);
    for (index, argument) in arguments.into_iter().enumerate() {
        params.reborrow().get(index as u32).set_literal(argument);
    }
    let read = request.send().pipeline.get_value().read_request();
    Ok(read.within(place.timeout).await.context("reading the value")?.get()?.get_value())
}
