//! `arith`: integer arithmetic whose failures are values.

use std::rc::Rc;

use shipmate::schema::arith_capnp::{ArithError, arith};

pub(crate) struct Arith;

impl arith::Server for Arith {
    async fn multiply(
        self: Rc<Self>,
        params: arith::MultiplyParams,
        mut results: arith::MultiplyResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut product = results.get().init_product();
        match params.get_a().checked_mul(params.get_b()) {
            Some(value) => product.set_value(value),
            None => product.set_error(ArithError::Overflow),
        }
        Ok(())
    }

    async fn divide(
        self: Rc<Self>,
        params: arith::DivideParams,
        mut results: arith::DivideResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut division = results.get().init_division();
        match divide(params.get_a(), params.get_b()) {
            Ok((quotient, remainder)) => {
                let mut value = division.init_value();
                value.set_quotient(quotient);
                value.set_remainder(remainder);
            }
            Err(error) => division.set_error(error),
        }
        Ok(())
    }
}

fn divide(a: i64, b: i64) -> Result<(i64, i64), ArithError> {
    if b == 0 {
        return Err(ArithError::DivideByZero);
    }
    // Only i64::MIN / -1 is left; its remainder would be 0, but it has no quotient.
    a.checked_div(b).zip(a.checked_rem(b)).ok_or(ArithError::Overflow)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shipmate::schema::arith_capnp::{division, product};

    use super::*;

    async fn multiply(client: &arith::Client, a: i64, b: i64) -> Result<i64, ArithError> {
        let mut request = client.multiply_request();
        request.get().set_a(a);
        request.get().set_b(b);
        let response = request.send().promise.await.unwrap();
        match response.get().unwrap().get_product().unwrap().which().unwrap() {
            product::Value(value) => Ok(value),
            product::Error(error) => Err(error.unwrap()),
        }
    }

    async fn divide(client: &arith::Client, a: i64, b: i64) -> Result<(i64, i64), ArithError> {
        let mut request = client.divide_request();
        request.get().set_a(a);
        request.get().set_b(b);
        let response = request.send().promise.await.unwrap();
        match response.get().unwrap().get_division().unwrap().which().unwrap() {
            division::Value(value) => Ok((value.get_quotient(), value.get_remainder())),
            division::Error(error) => Err(error.unwrap()),
        }
    }

    fn any_operand() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -3i64..=3, Just(i64::MIN), Just(i64::MAX), any::<i32>().prop_map(i64::from)]
    }

    proptest! {
        #[test]
        fn agrees_with_wider_arithmetic(a in any_operand(), b in any_operand()) {
            let client: arith::Client = capnp_rpc::new_client(Arith);
            let (wide_a, wide_b) = (i128::from(a), i128::from(b));
            let narrow = |wide: i128| i64::try_from(wide).map_err(|_| ArithError::Overflow);
            futures::executor::block_on(async {
                prop_assert_eq!(multiply(&client, a, b).await, narrow(wide_a * wide_b));
                let expected = match b {
                    0 => Err(ArithError::DivideByZero),
                    _ => narrow(wide_a / wide_b).map(|quotient| (quotient, (wide_a % wide_b) as i64)),
                };
                prop_assert_eq!(divide(&client, a, b).await, expected);
                Ok(())
            })?;
        }
    }

    #[tokio::test]
    async fn the_edges() {
        let client: arith::Client = capnp_rpc::new_client(Arith);
        assert_eq!(multiply(&client, i64::MIN, -1).await, Err(ArithError::Overflow));
        assert_eq!(divide(&client, i64::MIN, -1).await, Err(ArithError::Overflow));
        assert_eq!(divide(&client, i64::MIN, 0).await, Err(ArithError::DivideByZero));
        assert_eq!(divide(&client, -7, 2).await, Ok((-3, -1)));
        assert_eq!(divide(&client, 7, -2).await, Ok((-3, 1)));
    }
}
