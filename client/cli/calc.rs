//! `shipmate calc`.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use shipmate::schema::calculator_capnp::calculator;
use shipmate::{Address, Connection, RequestExt};

use crate::expression::{Definition, Node, Operation, parse};
use crate::service;

/// Evaluate an expression at a server's calculator.
///
/// The server knows + - * / and what --define adds. pow(a, b) is a function of this program: the server
/// calls it back.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  shipmate calc unix:/tmp/ship.sock '2 * (3 + 4)'
  shipmate calc unix:/tmp/ship.sock --define 'f(x, y) = x * y + 1' 'f(2, pow(2, 10))'")]
pub(crate) struct Calc {
    /// The server: its front door, or a listener for `calculator` alone.
    address: Address,
    #[arg(allow_hyphen_values = true)]
    expression: String,
    /// Define a function at the server, which later definitions and the expression can call. Repeatable.
    #[arg(long, short, value_name = "F(X, …) = EXPRESSION")]
    define: Vec<String>,
}

impl Calc {
    pub(crate) async fn run(self, timeout: Duration) -> Result<()> {
        let expression = parse(&self.expression).with_context(|| self.expression.clone())?;
        let definitions = self.define.iter().map(|text| Definition::parse(text).with_context(|| text.clone()));
        let definitions = definitions.collect::<Result<Vec<_>>>()?;
        let connection = service::connect(&self.address, timeout).await?;
        let value = evaluate(&connection, &definitions, &expression, timeout).await?;
        connection.close().await;
        Ok(writeln!(std::io::stdout(), "{value}")?)
    }
}

async fn evaluate(
    connection: &Connection,
    definitions: &[Definition],
    expression: &Node,
    timeout: Duration,
) -> Result<f64> {
    let calculator: calculator::Client = service::find(connection, "calculator", timeout).await?;
    let mut functions = Functions::new(&calculator);
    for definition in definitions {
        functions.define(&calculator, definition)?;
    }
    let mut request = calculator.evaluate_request();
    functions.write(expression, request.get().init_expression())?;
    // The value is read on the result of a call that has not returned yet: one round trip for both.
    let read = request.send().pipeline.get_value().read_request();
    Ok(read.within(timeout).await?.get()?.get_value())
}

/// The functions that an expression may call, by name; operators have the names of their signs.
struct Functions(HashMap<String, calculator::function::Client>);

impl Functions {
    /// The operators, which are asked for without waiting, and `pow`.
    fn new(calculator: &calculator::Client) -> Self {
        let operators = [
            (Operation::Add, calculator::Operator::Add),
            (Operation::Subtract, calculator::Operator::Subtract),
            (Operation::Multiply, calculator::Operator::Multiply),
            (Operation::Divide, calculator::Operator::Divide),
        ];
        let mut functions: HashMap<_, _> = operators
            .into_iter()
            .map(|(operation, operator)| {
                let mut request = calculator.get_operator_request();
                request.get().set_op(operator);
                (sign(operation).to_owned(), request.send().pipeline.get_func())
            })
            .collect();
        functions.insert("pow".to_owned(), capnp_rpc::new_client(Power::default()));
        Functions(functions)
    }

    fn define(&mut self, calculator: &calculator::Client, definition: &Definition) -> Result<()> {
        let mut request = calculator.def_function_request();
        let mut params = request.get();
        params.set_param_count(definition.parameters as i32);
        self.write(&definition.body, params.init_body())?;
        self.0.insert(definition.name.clone(), request.send().pipeline.get_func());
        Ok(())
    }

    fn write(&self, node: &Node, mut to: calculator::expression::Builder<'_>) -> Result<()> {
        match node {
            Node::Number(number) => to.set_literal(*number),
            Node::Parameter(index) => to.set_parameter(*index),
            Node::Operation(operation, sides) => {
                let (left, right) = &**sides;
                self.write_call(sign(*operation), &[left, right], to)?;
            }
            Node::Call(name, arguments) => self.write_call(name, &arguments.iter().collect::<Vec<_>>(), to)?,
        }
        Ok(())
    }

    fn write_call(&self, name: &str, arguments: &[&Node], to: calculator::expression::Builder<'_>) -> Result<()> {
        let Some(function) = self.0.get(name) else {
            bail!("there is no function {name:?}: define it with --define '{name}(…) = …'");
        };
        let mut call = to.init_call();
        call.set_function(function.clone());
        let mut params = call.init_params(arguments.len() as u32);
        for (index, argument) in arguments.iter().enumerate() {
            self.write(argument, params.reborrow().get(index as u32))?;
        }
        Ok(())
    }
}

fn sign(operation: Operation) -> &'static str {
    match operation {
        Operation::Add => "+",
        Operation::Subtract => "-",
        Operation::Multiply => "*",
        Operation::Divide => "/",
    }
}

/// `pow(a, b)`, as in the Cap'n Proto project's own sample client. It notes that it was called.
#[derive(Default)]
pub(crate) struct Power(pub(crate) Rc<Cell<bool>>);

impl calculator::function::Server for Power {
    async fn call(
        self: Rc<Self>,
        params: calculator::function::CallParams,
        mut results: calculator::function::CallResults,
    ) -> Result<(), capnp::Error> {
        self.0.set(true);
        let params = params.get()?.get_params()?;
        if params.len() != 2 {
            return Err(capnp::Error::failed(format!("pow takes 2 parameters, not {}", params.len())));
        }
        results.get().set_value(params.get(0).powf(params.get(1)));
        Ok(())
    }
}
