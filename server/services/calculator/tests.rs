//! The calculator through its interface, as the project's sample client uses it.

use std::rc::Rc;

use capnp::ErrorKind;
use shipmate::schema::calculator_capnp::calculator::{self, Operator, expression, function, value};
use tokio::sync::{mpsc, oneshot};

use super::Calculator;

/// An expression as a test writes it.
#[derive(Clone)]
enum Ex {
    Literal(f64),
    Previous(value::Client),
    Parameter(u32),
    Call(function::Client, Vec<Ex>),
}

use Ex::{Call, Literal, Parameter, Previous};

fn write(ex: &Ex, mut to: expression::Builder<'_>) {
    match ex {
        Literal(value) => to.set_literal(*value),
        Previous(value) => to.set_previous_result(value.clone()),
        Parameter(index) => to.set_parameter(*index),
        Call(function, params) => {
            let mut call = to.init_call();
            call.set_function(function.clone());
            let mut list = call.init_params(params.len() as u32);
            for (index, param) in params.iter().enumerate() {
                write(param, list.reborrow().get(index as u32));
            }
        }
    }
}

fn calculator() -> calculator::Client {
    capnp_rpc::new_client(Calculator::default())
}

/// A promise for the result: nothing is waited for.
fn evaluate(calculator: &calculator::Client, ex: &Ex) -> value::Client {
    let mut request = calculator.evaluate_request();
    write(ex, request.get().init_expression());
    let sent = request.send();
    let value = sent.pipeline.get_value();
    tokio::task::spawn_local(sent.promise);
    value
}

async fn result(calculator: &calculator::Client, ex: &Ex) -> Result<f64, capnp::Error> {
    let mut request = calculator.evaluate_request();
    write(ex, request.get().init_expression());
    read(&request.send().promise.await?.get()?.get_value()?).await
}

async fn read(value: &value::Client) -> Result<f64, capnp::Error> {
    Ok(value.read_request().send().promise.await?.get()?.get_value())
}

/// A promise for the function.
fn define(calculator: &calculator::Client, param_count: i32, body: &Ex) -> function::Client {
    let mut request = calculator.def_function_request();
    request.get().set_param_count(param_count);
    write(body, request.get().init_body());
    let sent = request.send();
    let function = sent.pipeline.get_func();
    tokio::task::spawn_local(sent.promise);
    function
}

async fn defined(calculator: &calculator::Client, param_count: i32, body: &Ex) -> Result<(), capnp::Error> {
    let mut request = calculator.def_function_request();
    request.get().set_param_count(param_count);
    write(body, request.get().init_body());
    request.send().promise.await?.get()?.get_func().map(drop)
}

fn operator(calculator: &calculator::Client, operator: Operator) -> function::Client {
    let mut request = calculator.get_operator_request();
    request.get().set_op(operator);
    let sent = request.send();
    let function = sent.pipeline.get_func();
    tokio::task::spawn_local(sent.promise);
    function
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(test));
}

async fn error(calculator: &calculator::Client, ex: &Ex) -> capnp::Error {
    result(calculator, ex).await.expect_err("an error")
}

#[test]
fn the_sample_clients_session() {
    run(async {
        let calculator = calculator();
        let [add, subtract, multiply, divide] =
            [Operator::Add, Operator::Subtract, Operator::Multiply, Operator::Divide]
                .map(|op| operator(&calculator, op));
        let call = |function: &function::Client, params: &[Ex]| Call(function.clone(), params.to_vec());

        assert_eq!(result(&calculator, &Literal(123.0)).await.unwrap(), 123.0);
        let sum = call(&add, &[Literal(123.0), Literal(45.0)]);
        assert_eq!(result(&calculator, &call(&subtract, &[sum, Literal(67.0)])).await.unwrap(), 101.0);
        assert_eq!(result(&calculator, &call(&divide, &[Literal(1.0), Literal(0.0)])).await.unwrap(), f64::INFINITY);

        // Two results that build on a third, none of them waited for.
        let product = Previous(evaluate(&calculator, &call(&multiply, &[Literal(4.0), Literal(6.0)])));
        let plus_3 = evaluate(&calculator, &call(&add, &[product.clone(), Literal(3.0)]));
        let plus_5 = evaluate(&calculator, &call(&add, &[product, Literal(5.0)]));
        assert_eq!((read(&plus_3).await.unwrap(), read(&plus_5).await.unwrap()), (27.0, 29.0));

        // f(x, y) = x * 100 + y and g(x) = f(x, x + 1) * 2, where f is still a promise.
        let hundreds = call(&multiply, &[Parameter(0), Literal(100.0)]);
        let f = define(&calculator, 2, &call(&add, &[hundreds, Parameter(1)]));
        let next = call(&add, &[Parameter(0), Literal(1.0)]);
        let g = define(&calculator, 1, &call(&multiply, &[call(&f, &[Parameter(0), next]), Literal(2.0)]));
        assert_eq!(result(&calculator, &call(&f, &[Literal(12.0), Literal(34.0)])).await.unwrap(), 1234.0);
        assert_eq!(result(&calculator, &call(&g, &[Literal(21.0)])).await.unwrap(), 4244.0);

        // A function is an object of its own.
        let mut request = g.call_request();
        request.get().set_params([21.0].as_slice()).unwrap();
        assert_eq!(request.send().promise.await.unwrap().get().unwrap().get_value(), 4244.0);
    });
}

/// A function of the client's, which answers when the test says so.
struct Callback(mpsc::UnboundedSender<(Vec<f64>, oneshot::Sender<f64>)>);

impl function::Server for Callback {
    async fn call(
        self: Rc<Self>,
        params: function::CallParams,
        mut results: function::CallResults,
    ) -> Result<(), capnp::Error> {
        let (answer, answered) = oneshot::channel();
        let params = params.get()?.get_params()?.iter().collect();
        self.0.send((params, answer)).map_err(|_| capnp::Error::failed("the test is over".into()))?;
        results.get().set_value(answered.await.map_err(|_| capnp::Error::failed("no answer".into()))?);
        Ok(())
    }
}

#[test]
fn the_clients_own_functions_are_called_at_the_same_time() {
    run(async {
        let calculator = calculator();
        let (sender, mut calls) = mpsc::unbounded_channel();
        let callback: function::Client = capnp_rpc::new_client(Callback(sender));
        let own = |value| Call(callback.clone(), vec![Literal(value)]);
        let add = operator(&calculator, Operator::Add);
        let sum = evaluate(&calculator, &Call(add, vec![own(2.0), own(3.0)]));

        let (first, second) = (calls.recv().await.unwrap(), calls.recv().await.unwrap());
        assert_eq!((first.0, second.0), (vec![2.0], vec![3.0]));
        second.1.send(30.0).unwrap();
        first.1.send(20.0).unwrap();
        assert_eq!(read(&sum).await.unwrap(), 50.0);

        // In the body of a function too, and its failure is the failure of the whole.
        let f = define(&calculator, 1, &Call(callback.clone(), vec![Parameter(0), Parameter(0)]));
        let doubled = evaluate(&calculator, &Call(f, vec![Literal(7.0)]));
        let (params, answer) = calls.recv().await.unwrap();
        assert_eq!(params, [7.0, 7.0]);
        drop(answer);
        assert!(read(&doubled).await.unwrap_err().extra.contains("no answer"));
    });
}

#[test]
fn what_is_wrong_with_an_expression_is_said() {
    run(async {
        let calculator = calculator();
        let add = operator(&calculator, Operator::Add);
        let one = define(&calculator, 1, &Parameter(0));
        for (ex, text) in [
            (Parameter(0), "parameter 0 is outside of a function body"),
            (Call(add.clone(), vec![Literal(1.0)]), "an operator takes 2 parameters and was given 1"),
            (Call(add.clone(), vec![]), "an operator takes 2 parameters and was given 0"),
            (Call(one, vec![Literal(1.0); 2]), "the function takes 1 parameters and was given 2"),
        ] {
            let error = error(&calculator, &ex).await;
            assert!(error.extra.contains(text), "{error}");
        }
        for (param_count, body, text) in [
            (-1, Literal(0.0), "cannot take -1 parameters"),
            (0, Parameter(0), "parameter 0 does not exist: the function has 0"),
            (2, Call(add, vec![Parameter(1), Parameter(2)]), "parameter 2 does not exist: the function has 2"),
        ] {
            let error = defined(&calculator, param_count, &body).await.unwrap_err();
            assert!(error.extra.contains(text), "{error}");
        }
        let mut request = operator(&calculator, Operator::Divide).call_request();
        request.get().set_params([1.0, 2.0, 3.0].as_slice()).unwrap();
        let error = request.send().promise.await.err().unwrap();
        assert!(error.extra.contains("takes 2 parameters and was given 3"), "{error}");

        // A null function and a null value.
        let mut request = calculator.evaluate_request();
        request.get().init_expression().init_call();
        assert!(request.send().promise.await.is_err());
    });
}

/// A chain of functions, each holding the one before, once took as much stack as it had links.
#[test]
fn depth_is_bounded_through_functions() {
    run(async {
        let calculator = calculator();
        let mut function = define(&calculator, 1, &Parameter(0));
        let refused = loop {
            let body = Call(function.clone(), vec![Parameter(0)]);
            if let Err(error) = defined(&calculator, 1, &body).await {
                break error;
            }
            assert_eq!(result(&calculator, &Call(function.clone(), vec![Literal(4.0)])).await.unwrap(), 4.0);
            function = define(&calculator, 1, &body);
        };
        assert!(refused.extra.contains("nest more than 100 deep"), "{refused}");
        assert!(error(&calculator, &Call(function, vec![Literal(4.0)])).await.extra.contains("deep"));
    });
}

#[test]
fn work_is_bounded() {
    run(async {
        let calculator = calculator();
        let mut function = define(&calculator, 1, &Parameter(0));
        for _ in 0..40 {
            let once = Call(function.clone(), vec![Parameter(0)]);
            function = define(&calculator, 1, &Call(function, vec![once]));
        }
        let error = error(&calculator, &Call(function, vec![Literal(1.0)])).await;
        assert_eq!(error.kind, ErrorKind::Overloaded);
        assert!(error.extra.contains("steps"), "{error}");
        assert_eq!(result(&calculator, &Literal(1.0)).await.unwrap(), 1.0);
    });
}

#[test]
fn what_waits_for_callbacks_is_bounded_and_given_back() {
    run(async {
        let calculator = calculator();
        let (sender, mut calls) = mpsc::unbounded_channel();
        let wait = Call(capnp_rpc::new_client(Callback(sender)), vec![]);
        let leaf = define(&calculator, 0, &wait);
        let mut function = leaf;
        let add = operator(&calculator, Operator::Add);
        for _ in 0..20 {
            let one = Call(function, vec![]);
            function = define(&calculator, 0, &Call(add.clone(), vec![one.clone(), one]));
        }
        let error = error(&calculator, &Call(function, vec![])).await;
        assert_eq!(error.kind, ErrorKind::Overloaded);
        assert!(error.extra.contains("at a time"), "{error}");
        calls.close();
        while calls.recv().await.is_some() {}
        assert_eq!(result(&calculator, &Literal(1.0)).await.unwrap(), 1.0);
    });
}

#[test]
fn functions_that_are_held_are_bounded() {
    run(async {
        let calculator = calculator();
        let wide = |function: &function::Client| Call(function.clone(), vec![Literal(0.0); 4000]);
        let one = define(&calculator, 1, &Parameter(0));
        let mut held = Vec::new();
        let refused = loop {
            let mut request = calculator.def_function_request();
            write(&wide(&one), request.get().init_body());
            match request.send().promise.await {
                Ok(response) => held.push(response),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind, ErrorKind::Overloaded);
        held.pop();
        defined(&calculator, 0, &wide(&one)).await.unwrap();
        let error = error(&calculator, &Call(one, vec![Literal(0.0); 5000])).await;
        assert!(error.extra.contains("more than 4096 parts"), "{error}");
    });
}
